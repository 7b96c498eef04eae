"""What goes up comes down without a trace."""

import time

import pytest

from tests.integration import traces
from tests.integration.conftest import Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]


@pytest.mark.last
def test_destroy_and_down_leave_the_machine_as_it_was(project: Project) -> None:
    for environment in ("prod", "test", "dev"):
        project.pulumi("destroy", "--stack", environment, "--yes", "--skip-preview")
        spaces = project.objects("namespaces", "-l", f"stellwerk.dev/environment={environment}")
        assert spaces == [], f"{environment} has left namespaces"
    assert project.objects("nodes", "-l", "stellwerk.dev/simulated=true") == []
    assert "serving.kserve.io" not in project.kubectl("get", "customresourcedefinitions", "-o", "name")
    project.stellwerk("cluster", "down")
    assert not project.state.exists()
    deadline = time.monotonic() + 10
    while (left := traces.take().left(project.before)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left == {}
    assert "Nothing to remove" in project.stellwerk("cluster", "down").stdout
