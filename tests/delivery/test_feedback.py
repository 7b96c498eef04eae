"""`stellwerk feedback`: what is said of a release is shown until a later one answers it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.clients.forges.forge import Forge
from delivery.operations.feedback import Said, add, answer, open_feedback
from infra.contract.feedback import Kind
from infra.contract.release import Releases
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.documents import yaml
from tests.support.engine import FakeEngine
from tests.support.repository import WHO, repository
from tests.support.session import Bench, Command


@pytest.fixture(autouse=True)
def repo(project: Checkout, releases: Releases) -> None:
    repository(project.root)


def record(stellwerk: Command, *arguments: str) -> str:
    """Record feedback on the first release; return its id."""
    code, out, err = stellwerk(
        "feedback", "add", MODEL, "--kind", "error", "--title", "Sevens are ones", "--release", FIRST, *arguments
    )
    assert (code, err) == (0, "")
    return out.partition(":")[0]


def planned(stellwerk: Command, pulumi: FakeEngine, before: str | None, after: str) -> list[str]:
    """Return what a plan of prod says of feedback."""
    pulumi.known.add("prod")
    metadata = {
        "type": "pulumi:pulumi:Stack",
        "old": {"outputs": {"models": {MODEL: before}}},
        "new": {"outputs": {"models": {MODEL: after}}},
    }
    pulumi.recorded = json.dumps({"resOutputsEvent": {"metadata": metadata}})
    code, out, _ = stellwerk("plan", "prod")
    assert code == 0
    return [line.strip() for line in out.splitlines() if re.match(r"  (open:|answers) ", line)]


def test_feedback_is_a_file_of_the_release_it_is_about(project: Checkout, stellwerk: Command) -> None:
    identity = record(stellwerk, "--env", "prod", "--prediction", "request-7", "--requirement", "ABC-12")
    document = yaml().load(project.root / "stacks" / "feedback" / MODEL / f"{identity}.yaml")
    assert document["metadata"]["by"] == WHO
    assert document["about"] == {
        "kind": "error", "title": "Sevens are ones", "release": FIRST, "environment": "prod",
        "prediction": "request-7", "requirement": "ABC-12",
    }  # fmt: skip
    assert "answeredBy" not in document
    code, out, _ = stellwerk("feedback", "list")
    assert (code, out) == (0, f"{MODEL}: error {identity}: Sevens are ones (on {FIRST}, ABC-12)\n")
    (listed,) = json.loads(stellwerk("feedback", "list", MODEL, "--json")[1])
    assert (listed["metadata"]["id"], listed["about"]["prediction"]) == (identity, "request-7")


def test_of_an_environment_it_is_about_what_is_served_there(
    project: Checkout, pulumi: FakeEngine, stellwerk: Command
) -> None:
    project.point("prod", SECOND)
    pulumi.known.add("prod")
    code, _, _ = stellwerk("feedback", "add", MODEL, "--kind", "prediction", "--title", "Wrong", "--env", "prod")
    assert code == 0
    assert f"on {SECOND}" in stellwerk("feedback", "list")[1]


def test_it_travels_with_releases_until_a_later_one_answers_it(
    project: Checkout, pulumi: FakeEngine, stellwerk: Command
) -> None:
    identity = record(stellwerk)
    line = f"error {identity}: Sevens are ones (on {FIRST})"
    assert planned(stellwerk, pulumi, None, FIRST) == [f"open: {line}"]
    assert planned(stellwerk, pulumi, FIRST, SECOND) == [f"open: {line}"]
    report = json.loads(stellwerk("plan", "prod", "--json")[1])
    assert [each["id"] for each in report["models"][0]["feedback_open"]] == [identity]
    project.point("prod", FIRST)
    status = json.loads(stellwerk("status", "--json")[1])["environments"]["prod"]["models"][MODEL]
    assert [each["title"] for each in status["feedback"]] == ["Sevens are ones"]
    assert f"open: {line}" in stellwerk("status")[1]
    code, out, _ = stellwerk("feedback", "answer", identity, "--release", SECOND)
    assert (code, out) == (
        0, f"{identity}: answered by {SECOND}; commit stacks/feedback/{MODEL}/{identity}.yaml\n",
    )  # fmt: skip
    assert planned(stellwerk, pulumi, FIRST, SECOND) == [f"answers {line}"]
    # Back to the release that it is about, it is open again.
    assert planned(stellwerk, pulumi, SECOND, FIRST) == [f"open: {line}"]
    made = project.project()
    assert [each.metadata.id for each in open_feedback(made, MODEL, FIRST)] == [identity]
    assert open_feedback(made, MODEL, SECOND) == open_feedback(made, MODEL) == ()
    assert stellwerk("feedback", "list") == (0, "none\n", "")
    assert f"answered by {SECOND}" in stellwerk("feedback", "list", "--all")[1]


def test_what_was_said_of_a_later_release_is_none_of_an_earlier_one_s(project: Checkout, stellwerk: Command) -> None:
    stellwerk("feedback", "add", MODEL, "--kind", "change", "--title", "Faster", "--release", SECOND)
    assert open_feedback(project.project(), MODEL, FIRST) == ()
    assert len(open_feedback(project.project(), MODEL, SECOND)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--release", "v9-00000000"), "there is no such release"),
        (("--env", "prd", "--release", FIRST), "did you mean prod?"),
        ((), "of which release? name it with --release"),
        (("--env", "prod"), "serves no release"),
    ],
    ids=["release", "environment", "neither", "nothing served"],
)
def test_what_is_about_nothing_is_refused(
    arguments: tuple[str, ...], message: str, project: Checkout, pulumi: FakeEngine, stellwerk: Command
) -> None:
    pulumi.known.add("prod")
    code, out, err = stellwerk("feedback", "add", MODEL, "--kind", "error", "--title", "Wrong", *arguments)
    assert (code, out) == (1, "")
    assert message in " ".join(err.split())
    assert not (project.root / "stacks" / "feedback").exists()


@pytest.mark.parametrize(
    ("identity", "release", "message"),
    [
        (None, FIRST, f"is about {FIRST}, and {FIRST} is no later release"),
        (None, "v9-00000000", "there is no such release"),
        ("20260101-00000000", SECOND, "there is no such feedback"),
    ],
    ids=["the same", "unknown", "no feedback"],
)
def test_what_answers_nothing_is_refused(identity: str | None, release: str, message: str, stellwerk: Command) -> None:
    known = record(stellwerk)
    code, out, err = stellwerk("feedback", "answer", identity or known, "--release", release)
    assert (code, out) == (1, "")
    assert message in " ".join(err.split())


def test_an_issue_is_opened_and_closed(issues: Forge, bench: Bench) -> None:
    said = Said(Kind.ERROR, "Sevens are ones", FIRST, requirement="ABC-12")
    made = add(bench.session(), MODEL, said, lambda: issues)
    issue = issues.find_issue(f"feedback-{made.metadata.id}")
    assert issue is not None
    assert (issue.title, issue.url) == ("Sevens are ones", made.issue)
    answered = answer(bench.session(), made.metadata.id, SECOND, lambda: issues)
    assert answered.answered_by == SECOND
    assert issues.find_issue(f"feedback-{made.metadata.id}") is None


@pytest.fixture(params=["github", "gitlab"])
def issues(request: pytest.FixtureRequest) -> Iterator[Forge]:
    """A forge of each kind that has issues, on a local server that takes what the forge has published."""
    from tests.delivery.forges.conftest import client
    from tests.support.forges.server import serve

    with serve(request.param) as made:
        yield client(made)


def test_a_forge_that_refuses_leaves_no_file(project: Checkout, stellwerk: Command) -> None:
    code, _, err = stellwerk(
        "feedback", "add", MODEL, "--kind", "error", "--title", "Wrong", "--release", FIRST, "--issue"
    )  # fmt: skip
    assert code == 1
    assert "origin" in err
    assert not list((project.root / "stacks").glob("feedback/*/*.yaml"))


def test_an_edited_file_keeps_its_comments(project: Checkout, stellwerk: Command) -> None:
    identity = record(stellwerk)
    file: Path = project.root / "stacks" / "feedback" / MODEL / f"{identity}.yaml"
    text = file.read_text() + "# seen by three people\n"
    file.write_text(text)
    stellwerk("feedback", "answer", identity, "--release", SECOND)
    assert file.read_text().replace(f"answeredBy: {SECOND}\n", "") == text
