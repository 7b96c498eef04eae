"""One more environment is one more file: made, served from, and taken away again, by the commands that a user types."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.project import ENVIRONMENTS, MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.lane("alone"), pytest.mark.timeout(3600)]
NAME, SOURCE = "pre-prod", "test"


@pytest.fixture
def made(project: Project, restored: Callable[[str], None]) -> Iterator[None]:
    """A fourth environment; the registry's owner has a login for it."""
    restored("dev")
    project.stellwerk("init", NAME, "--after", SOURCE)
    project.up("dev")
    project.up(NAME)
    yield
    if NAME in project.pulumi("stack", "ls").stdout:
        project.pulumi("destroy", "--stack", NAME, "--yes", "--skip-preview")
        project.pulumi("stack", "rm", NAME, "--yes")


@pytest.mark.usefixtures("made")
def test_a_fourth_environment_takes_serves_and_goes(project: Project) -> None:
    text = project.stack_file(NAME).read_text()
    assert text.partition("  stellwerk:caCertificate")[0].count("\n") <= 15
    project.assert_no_changes(NAME)
    project.stellwerk("promote", MODEL, "--to", NAME, "--yes")
    assert project.pointers(NAME)[0] == project.pointers(SOURCE)[0]
    answer = project.ask("predict", MODEL, "--env", NAME)
    assert answer["release"] == project.pointers(SOURCE)[0]
    (line, *_) = project.ask("logs", "--request-id", answer["request_ids"][0], "--wait")["hits"]
    assert line["service.environment"] == NAME
    assert set(project.ask("drift")["environments"]) == {*ENVIRONMENTS, NAME}
    project.pulumi("destroy", "--stack", NAME, "--yes", "--skip-preview")
    project.pulumi("stack", "rm", NAME, "--yes")
    assert not project.stack_file(NAME).exists()
    assert f"{NAME}-" not in project.kubectl("get", "namespaces", "-o", "name")
    assert project.answers(SOURCE)
