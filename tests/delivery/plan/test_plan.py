"""`stellwerk plan`: what an update would do, read from recorded events of the engine and from documents."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.contract.release import Releases
from tests.delivery.plan.recorded import EVENTS, RELEASES
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.documents import yaml
from tests.support.engine import FakeEngine
from tests.support.session import Command

GOLDEN = Path(__file__).parent
Git = Callable[..., str]


@pytest.fixture
def recorded(pulumi: FakeEngine, project: Checkout, releases: Releases) -> FakeEngine:
    """The engine, whose preview of prod is the recorded one: from the first release to the second."""
    assert [FIRST, SECOND] == RELEASES
    pulumi.known.add("prod")
    pulumi.recorded = EVENTS.read_text()
    project.point("prod", SECOND, FIRST)
    return pulumi


@pytest.fixture
def git(project: Checkout, tmp_path: Path) -> Git:
    """Runs git in the checkout, which is made a repository with all that is in it."""

    def run(*arguments: str) -> str:
        who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.test", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *who, *arguments], cwd=project.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    run("init", "--quiet", "--template=")
    run("add", ".")
    run("commit", "--quiet", "-m", "everything")
    return run


def change_release(releases: Releases, release: str, change: Callable[[Any], None]) -> None:
    """Edit a release's file, as if it had been written so."""
    file = releases.file(MODEL, release)
    document = yaml().load(file)
    change(document)
    yaml().dump(document, file)


def measure(releases: Releases, release: str, accuracy: float) -> None:
    """Let a release have this accuracy."""

    def write(document: Any) -> None:
        document["evaluation"]["metrics"]["accuracy"] = document["evaluation"]["gates"][0]["value"] = accuracy

    change_release(releases, release, write)


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_a_plan_as_people_and_programs_read_it(
    form: str, recorded: FakeEngine, releases: Releases, stellwerk: Command
) -> None:
    change_release(releases, SECOND, lambda document: document.update(requirements=["REQ-12", "REQ-15"]))
    measure(releases, SECOND, 0.98)
    code, out, err = stellwerk("plan", "prod", *(() if form == "text" else (f"--{form}",)))
    assert (code, err) == (0, "")
    assert out == (GOLDEN / f"golden.{form}").read_text()
    assert "hidden" not in out, "a secret value is shown"


def test_where_nothing_changes_there_is_nothing_to_do(pulumi: FakeEngine, stellwerk: Command) -> None:
    pulumi.known.add("prod")
    pulumi.recorded = ""
    assert stellwerk("plan", "prod") == (0, "prod: nothing to do\n", "")
    assert stellwerk("plan", "prod", "--markdown") == (0, "### prod: nothing to do\n", "")


def outputs(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return the engine's event of a stack with these outputs."""
    metadata = {"type": "pulumi:pulumi:Stack", "old": {"outputs": before}, "new": {"outputs": after}}
    return json.dumps({"resOutputsEvent": {"metadata": metadata}})


PRICED = {"nodePools": {"gpu": {"nodes": 2, "pricePerHour": 1.5}}}
ELASTIC = {"nodePools": {"gpu": {"nodes": 0, "most": 4, "pricePerHour": 2.0}}}


@pytest.mark.parametrize(
    ("before", "after", "cost"),
    [
        ({"models": {}}, {"nodePools": {"gpu": {"nodes": 2}}}, None),
        ({}, PRICED, {"before": 0, "after": 3.0, "unpriced": [], "more": 0}),
        # Applied by a version that did not say which pools there are.
        ({"models": {}}, PRICED, {"before": None, "after": 3.0, "unpriced": [], "more": 0}),
        (PRICED, {"nodePools": {}}, {"before": 3.0, "after": 0, "unpriced": [], "more": 0}),
        (PRICED, ELASTIC, {"before": 3.0, "after": 0, "unpriced": [], "more": 8.0}),
    ],
    ids=["no price", "never applied", "applied before", "removed", "elastic"],
)
def test_cost_is_what_priced_pools_cost(
    before: dict[str, Any], after: dict[str, Any], cost: object, pulumi: FakeEngine, stellwerk: Command
) -> None:
    pulumi.known.add("prod")
    pulumi.recorded = outputs(before, after)
    assert json.loads(stellwerk("plan", "prod", "--json")[1])["cost"] == cost


def test_commits_between_two_releases_are_those_of_the_model_s_sources(
    git: Git, project: Checkout, releases: Releases, recorded: FakeEngine, stellwerk: Command
) -> None:
    ends, subject = [git("rev-parse", "HEAD")], "More `rows` | <b>@everybody</b>"
    for name, message in ((f"models/{MODEL}/train.py", subject), ("elsewhere.txt", "Something else")):
        with (project.root / name).open("a") as file:
            file.write("# more\n")
        git("add", name)
        git("commit", "--quiet", "-m", message)
    ends.append(git("rev-parse", "HEAD"))
    for release, commit in zip((FIRST, SECOND), ends, strict=True):
        change_release(releases, release, lambda document, commit=commit: document["training"].update(commit=commit))
    measure(releases, SECOND, 0.98)
    text, markdown = stellwerk("plan", "prod")[1], stellwerk("plan", "prod", "--markdown")[1]
    assert re.search(r"^  \+ [0-9a-f]{12} More `rows` \| <b>@everybody</b>$", text, re.MULTILINE)
    assert re.search(r"^- `\+ [0-9a-f]{12} More 'rows' \\\| <b>@everybody</b>`$", markdown, re.MULTILINE)
    assert "Something else" not in text
    # Back: the same commits are taken away.
    recorded.recorded = outputs({"models": {MODEL: SECOND}}, {"models": {MODEL: FIRST}})
    (model,) = json.loads(stellwerk("plan", "prod", "--json")[1])["models"]
    assert [commit["subject"] for commit in model["commits"]["removed"]] == [subject]
    assert model["commits"]["added"] == []
    assert [metric["better"] for metric in model["metrics"] if metric["gate"]] == [False]


def test_commits_that_nobody_knows_are_said_to_be_so(
    git: Git, releases: Releases, recorded: FakeEngine, stellwerk: Command
) -> None:
    assert f"commits: {FIRST} was trained from no known commit" in stellwerk("plan", "prod")[1]
    for release in (FIRST, SECOND):
        change_release(releases, release, lambda document: document["training"].update(commit="0123456789abcdef"))
    assert (
        "commits: 0123456789ab or 0123456789ab is not in this checkout's history; run `git fetch`"
        in (stellwerk("plan", "prod")[1])
    )


def test_a_first_and_a_last_release_are_named(releases: Releases, pulumi: FakeEngine, stellwerk: Command) -> None:
    pulumi.known.add("prod")
    pulumi.recorded = outputs({"models": {MODEL: None}}, {"models": {MODEL: FIRST}})
    assert stellwerk("plan", "prod")[1].splitlines()[:2] == ["prod: only releases", f"{MODEL}: no release → {FIRST}"]
    pulumi.recorded = outputs({"models": {MODEL: FIRST}}, {"models": {}})
    assert stellwerk("plan", "prod")[1].splitlines() == ["prod: only releases", f"{MODEL}: {FIRST} → no release"]


def test_a_plan_of_a_revision_has_its_stack_files_and_this_checkout_s_models(
    recorded: FakeEngine, releases: Releases, project: Checkout, git: Git, stellwerk: Command
) -> None:
    commit, text, seen = git("rev-parse", "HEAD"), project.text("prod"), []
    project.point("prod", None)

    def look(given: str, documents: Path | None) -> None:
        assert documents is not None
        file, model = documents / "stacks" / "Pulumi.prod.yaml", documents / "models" / MODEL / "model.yaml"
        seen.append((given.encode(), file.read_bytes(), model.is_file()))

    recorded.looked = look
    code, out, err = stellwerk("plan", "prod", "--from-git", "HEAD")
    assert (code, err) == (0, "")
    assert out.startswith(f"prod at {commit[:12]}: ")
    assert seen == [(text, text, True)]
    assert list(recorded.work.iterdir()) == [], "the revision's files stay behind"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("prd",), 1, 'environment "prd": unknown; allowed: dev, test, prod; did you mean prod?'),
        (("test",), 1, "test: there is no such stack yet; run `stellwerk init test`"),
        (("prod", "--from-git", "nowhere"), 1, "nowhere: git knows no such revision in"),
        (("prod", "--from-git", "--help"), 1, "--help: git knows no such revision in"),
        (("prod", "--json", "--markdown"), 2, "they exclude each other"),
    ],
    ids=["environment", "stack", "revision", "no option of git", "two forms"],
)
def test_what_cannot_be_planned_is_refused(
    arguments: tuple[str, ...], code: int, message: str, git: Git, recorded: FakeEngine, stellwerk: Command
) -> None:
    ended, out, err = stellwerk("plan", *arguments)
    assert (ended, out) == (code, "")
    assert message in " ".join(err.split())


def test_a_revision_without_stack_files_is_refused(
    git: Git, project: Checkout, recorded: FakeEngine, stellwerk: Command
) -> None:
    git("rm", "-r", "--quiet", "--cached", "stacks")
    git("commit", "--quiet", "-m", "without")
    code, _, err = stellwerk("plan", "prod", "--from-git", "HEAD")
    assert code == 1
    assert "stacks/ was not there at this revision" in err


def test_an_engine_that_fails_is_quoted(recorded: FakeEngine, stellwerk: Command) -> None:
    recorded.results["preview"] = [False]
    code, out, err = stellwerk("plan", "prod")
    assert (code, out) == (1, "")
    assert "the preview of prod failed" in err


def test_an_engine_that_fails_because_of_a_file_names_file_and_line(
    project: Checkout, recorded: FakeEngine, stellwerk: Command
) -> None:
    project.point("prod", "v9-00000000")
    recorded.results["preview"] = [False]
    code, _, err = stellwerk("plan", "prod")
    assert code == 1
    assert "stacks/Pulumi.prod.yaml:" in err
    assert "there is no such release" in err
