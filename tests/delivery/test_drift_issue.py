"""`stellwerk ci drift`: one issue of a forge follows what differs in an environment."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery.operations.drift import Drifted
from delivery.operations.drift_issue import Drift
from tests.delivery.test_drift import CHANGED, GONE, engine, opened, pulumi, stellwerk
from tests.support.checkout import Checkout
from tests.support.forges.server import TOKEN, ForgeServer, serve
from tests.support.forges.state import REPOSITORY
from tests.support.session import Command

__all__ = ["engine", "opened", "pulumi", "stellwerk"]

_VARIABLES = {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN"}
Pulumi = Callable[..., list[str]]


def hosted(project: Checkout, kind: str, url: str) -> None:
    """Say in the base where the checkout's repository is."""
    values = f"{{kind: {kind}, url: {url}, repository: {REPOSITORY}}}"
    (project.root / "stacks" / "base.yaml").write_text(f"config:\n  stellwerk:forge: {values}\n")


@pytest.fixture(params=["github", "gitlab"])
def forge(request: Any, project: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForgeServer]:
    """The forge of the checkout, with a token for it."""
    monkeypatch.setenv(_VARIABLES[request.param], TOKEN)
    with serve(request.param) as server:
        hosted(project, request.param, server.url)
        yield server


def test_one_issue_is_opened_brought_up_to_date_and_closed(
    forge: ForgeServer, pulumi: Pulumi, stellwerk: Command
) -> None:
    pulumi(GONE, CHANGED)
    code, out, err = stellwerk("ci", "drift", "dev")
    [issue] = forge.state.issues
    assert (code, out.splitlines()[1]) == (0, "dev: InferenceService digits in dev-serving deleted")
    assert err.startswith("dev: opened http://") and err.strip().endswith("/issues/1")
    assert (issue.title, issue.labels) == ("dev: 2 resources differ from its state", ("stellwerk", "drift"))
    assert "| InferenceService `digits` | `dev-serving` | deleted |  |" in issue.body
    assert "| `dev-serving` | changed | `metadata.labels`, `spec.hard.pods` |" in issue.body
    pulumi(GONE)
    assert stellwerk("ci", "drift", "dev")[0] == 0
    assert [each.title for each in forge.state.issues] == ["dev: 1 resource differs from its state"]
    assert "spec.hard.pods" not in issue.body
    pulumi()
    code, out, err = stellwerk("ci", "drift", "dev")
    assert (code, out) == (0, "dev: no drift\n") and "closed" in err
    assert issue.state == "closed" and "Nothing differs any more" in issue.comments[-1].body
    assert "no issue is open" in stellwerk("ci", "drift", "dev")[2]
    pulumi(GONE)
    stellwerk("ci", "drift", "dev")
    assert [each.state for each in forge.state.issues] == ["closed", "open"], "what was closed stays so"


def test_each_environment_has_an_issue_of_its_own(forge: ForgeServer, pulumi: Pulumi, stellwerk: Command) -> None:
    pulumi(GONE)
    stellwerk("ci", "drift", "dev")
    stellwerk("ci", "drift", "prod")
    pulumi()
    stellwerk("ci", "drift", "dev")
    assert [(each.title[:4], each.state) for each in forge.state.issues] == [("dev:", "closed"), ("prod", "open")]


def test_a_stack_that_was_never_applied_has_not_drifted(pulumi: Pulumi, stellwerk: Command, tmp_path: Path) -> None:
    """Of a stack without resources the engine names no steps at all."""
    pulumi()
    (tmp_path / "answer").write_text('{"duration": 1}')
    assert stellwerk("ci", "drift", "dev")[:2] == (0, "dev: no drift\n")


def test_what_can_not_be_read_changes_no_issue(forge: ForgeServer, pulumi: Pulumi, stellwerk: Command) -> None:
    pulumi(GONE)
    stellwerk("ci", "drift", "dev")
    pulumi(answers="echo 'error: the cluster went away' >&2; exit 255")
    assert stellwerk("ci", "drift", "dev")[0] == 1
    assert [each.state for each in forge.state.issues] == ["open"]


def test_a_forge_that_refuses_is_an_error(forge: ForgeServer, pulumi: Pulumi, stellwerk: Command) -> None:
    pulumi(GONE)
    forge.refused = {"issues": 403}
    code, out, err = stellwerk("ci", "drift", "dev")
    assert code == 1 and "dev: InferenceService" in out and "may not" in err


@pytest.mark.parametrize(("given", "code"), [((GONE,), 2), ((), 0)])
def test_where_no_issue_can_be_kept_the_exit_code_says_it(
    given: tuple[Any, ...], code: int, project: Checkout, pulumi: Pulumi, stellwerk: Command
) -> None:
    pulumi(*given)
    ended, _, err = stellwerk("ci", "drift", "dev")
    assert ended == code and "no issue says so" in err


@pytest.fixture
def bitbucket(project: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forge without issues, with a token for it."""
    monkeypatch.setenv("BITBUCKET_TOKEN", TOKEN)
    hosted(project, "bitbucket", "https://git.example.com")


@pytest.mark.usefixtures("bitbucket")
def test_bitbucket_keeps_no_issues(pulumi: Pulumi, stellwerk: Command) -> None:
    pulumi(GONE)
    code, _, err = stellwerk("ci", "drift", "dev")
    assert code == 2 and "Bitbucket keeps no issues" in err


def test_a_text_that_is_too_long_says_how_many_it_leaves_out() -> None:
    items = [Drifted("kubernetes:core/v1:ConfigMap", f"c{number}", "x", "deleted", ()) for number in range(3000)]
    drift = Drift("lab", items, 0)
    text = drift.body(65_000)
    shown = text.count("| deleted |")
    assert 64_000 < len(text) <= 65_000
    assert f"{3000 - shown} more: `stellwerk drift --env lab`" in text
    assert "more:" not in drift.body(1_000_000)
