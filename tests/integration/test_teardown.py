"""What goes up comes down without a trace."""

import time
from functools import partial

import pytest

from tests.support import traces
from tests.support.project import Project, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]


@pytest.mark.last
@pytest.mark.lane("alone")
def test_destroy_and_down_leave_the_machine_as_it_was(project: Project) -> None:
    def destroy(environment: str) -> None:
        project.pulumi("destroy", "--stack", environment, "--yes", "--skip-preview")
        spaces = project.objects("namespaces", "-l", f"stellwerk.dev/environment={environment}")
        assert spaces == [], f"{environment} has left namespaces"

    # What test and prod use of dev, its controller and its registry, goes last.
    in_parallel(partial(destroy, "prod"), partial(destroy, "test"))
    destroy("dev")
    assert project.objects("nodes", "-l", "stellwerk.dev/simulated=true") == []
    assert "serving.kserve.io" not in project.kubectl("get", "customresourcedefinitions", "-o", "name")
    project.stellwerk("cluster", "down")
    assert not project.state.exists()
    deadline = time.monotonic() + 10
    while (left := traces.take().left(project.before)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left == {}
    assert "Nothing to remove" in project.stellwerk("cluster", "down").stdout
