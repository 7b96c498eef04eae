"""What goes up comes down without a trace."""

import time
from functools import partial
from typing import Any

import pytest

from tests.support import traces
from tests.support.project import Project, eventually, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]


@pytest.mark.last
@pytest.mark.lane("alone")
def test_destroy_and_down_leave_the_machine_as_it_was(project: Project) -> None:
    def destroy(environment: str) -> None:
        project.pulumi("destroy", "--stack", environment, "--yes", "--skip-preview")
        spaces = project.objects("namespaces", "-l", f"stellwerk.dev/environment={environment}")
        assert spaces == [], f"{environment} has left namespaces"

    def destroy_dev() -> None:
        # Its controller takes away what test and prod serve: it goes after that.
        eventually("test and prod serve nothing", 600, lambda: not (served("test") or served("prod")))
        destroy("dev")

    def served(environment: str) -> list[dict[str, Any]]:
        return project.objects("inferenceservices", "-n", f"{environment}-serving")

    in_parallel(partial(destroy, "prod"), partial(destroy, "test"), destroy_dev)
    assert project.objects("nodes", "-l", "stellwerk.dev/simulated=true") == []
    assert "serving.kserve.io" not in project.kubectl("get", "customresourcedefinitions", "-o", "name")
    project.stellwerk("cluster", "down")
    assert not project.state.exists()
    # What runs beside this test has processes of its own, which come and go: only what stays is left.
    left, deadline = traces.take().left(project.before), time.monotonic() + 300
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        now = traces.take().left(project.before)
        staying = {kind: [name for name in names if name in now.get(kind, ())] for kind, names in left.items()}
        left = {kind: names for kind, names in staying.items() if names}
    assert left == {}
    assert "Nothing to remove" in project.stellwerk("cluster", "down").stdout
