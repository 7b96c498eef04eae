"""`stellwerk history`: commits that moved a pointer and updates that a stack has recorded, each with the other."""

import gzip
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from delivery.clients.author import Message, author, parse
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.engine import FakeEngine, exported, plan
from tests.support.engine import history as recorded
from tests.support.repository import WHO, Repository, repository
from tests.support.session import Bench, Command


@pytest.fixture
def git(project: Checkout) -> Repository:
    return repository(project.root)


class Backend:
    """A file backend in which updates of prod are recorded as the engine does it."""

    def __init__(self, engine: FakeEngine) -> None:
        assert engine.backend_folder is not None
        self.place = engine.backend_folder / ".pulumi"
        self.history = self.place / "history" / engine.project / "prod"
        self.history.mkdir(parents=True)
        (self.place / "stacks" / engine.project).mkdir(parents=True)
        self.state = self.place / "stacks" / engine.project / "prod.json"

    def record(self, at: str, release: str | None, *, zipped: bool = False, **more: Any) -> None:
        """Record an update that took 12 seconds until `at`, which succeeded if nothing else is said."""
        ended = int(datetime.fromisoformat(at).timestamp())
        entry = {
            "kind": "update", "startTime": ended - 12, "endTime": ended, "message": "", "result": "succeeded",
            "environment": {"git.head": "a" * 40}, "config": {"stellwerk:models": {MODEL: {"release": release or ""}}},
        }  # fmt: skip
        content = json.dumps({**entry, **more}).encode()
        file = self.history / f"prod-{ended}000000000.history.json{'.gz' if zipped else ''}"
        file.write_bytes(gzip.compress(content) if zipped else content)
        file.with_name(f"{file.name}.attrs").write_text("{}")

    def apply(self, release: str | None) -> None:
        """Let the stack's outputs name a release."""
        held = {MODEL: release}
        state = exported(plan(held, held), {"models": held})
        self.state.write_text(json.dumps({"version": 3, "checkpoint": {"latest": state["deployment"]}}))


@pytest.fixture
def backend(pulumi: FakeEngine) -> Backend:
    return Backend(pulumi)


def read(stellwerk: Command, *arguments: str) -> dict[str, Any]:
    code, out, err = stellwerk("history", MODEL, "--env", "prod", "--json", *arguments)
    assert (code, err) == (0, "")
    document: dict[str, Any] = json.loads(out)
    return document


def lines(entries: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what is said of each change: from, to, commit, result, where it is not."""
    return [tuple(entry[key] for key in ("before", "after", "commit", "result", "disagrees")) for entry in entries]


def move(project: Checkout, git: Repository, release: str | None, at: str) -> str:
    project.point("prod", release)
    return git.commit(f"prod: {release}", at=at)


def test_a_change_is_in_git_and_in_the_stack(
    project: Checkout, releases: object, git: Repository, backend: Backend, stellwerk: Command
) -> None:
    first = move(project, git, FIRST, "2026-01-02T00:00:00Z")
    backend.record("2026-01-02T00:05:00+00:00", FIRST)
    # Applied first, and committed then.
    backend.record("2026-01-03T00:00:00+00:00", SECOND, message="stellwerk, by Else <else@example.test>", zipped=True)
    second = move(project, git, SECOND, "2026-01-03T00:10:00Z")
    backend.record("2026-01-04T00:00:00+00:00", SECOND)
    backend.apply(SECOND)
    document = read(stellwerk)
    assert lines(document["entries"]) == [
        (None, FIRST, first, "succeeded", None),
        (FIRST, SECOND, second, "succeeded", None),
    ]
    one, other = document["entries"]
    assert (one["time"], one["by"], one["author"]) == ("2026-01-02T00:05:00Z", WHO, WHO)
    assert (one["seconds"], one["checked_out"], one["subject"]) == (12, "a" * 40, f"prod: {FIRST}")
    assert (other["time"], other["by"]) == ("2026-01-03T00:00:00Z", "Else <else@example.test>")
    assert [state["disagrees"] for state in document["now"]] == [None]
    code, out, _ = stellwerk("history", MODEL)
    assert code == 0
    assert f"prod: file, commit and stack agree: {SECOND}" in out


def test_what_is_in_one_of_the_two_alone_is_said(
    project: Checkout, releases: object, git: Repository, backend: Backend, stellwerk: Command
) -> None:
    lost = move(project, git, FIRST, "2026-01-02T00:00:00Z")
    backend.record("2026-01-03T00:00:00+00:00", SECOND)
    backend.apply(SECOND)
    document = read(stellwerk)
    assert lines(document["entries"]) == [
        (None, FIRST, lost, None, "committed, never applied"),
        (None, SECOND, None, "succeeded", "applied, never committed"),
    ]
    (now,) = document["now"]
    assert (now["file"], now["committed"], now["applied"]) == (FIRST, FIRST, SECOND)
    assert now["disagrees"].startswith(f"the file names {FIRST}, applied is {SECOND}: see `stellwerk plan prod`")
    project.point("prod", SECOND)
    (now,) = read(stellwerk)["now"]
    assert now["disagrees"] == (f"the file names {SECOND}, committed is {FIRST}: commit stacks/Pulumi.prod.yaml")


def test_of_equal_changes_each_has_the_update_that_is_near(
    project: Checkout, releases: object, git: Repository, backend: Backend, stellwerk: Command
) -> None:
    commits = [
        move(project, git, release, f"2026-01-0{day}T00:00:00Z")
        for day, release in ((2, FIRST), (3, SECOND), (4, FIRST), (5, SECOND))
    ]
    backend.record("2026-01-04T00:01:00+00:00", FIRST)
    backend.record("2026-01-05T00:01:00+00:00", SECOND)
    backend.apply(SECOND)
    assert lines(read(stellwerk)["entries"]) == [
        (None, FIRST, commits[0], None, "committed, never applied"),
        (FIRST, SECOND, commits[1], None, "committed, never applied"),
        (None, FIRST, commits[2], "succeeded", None),
        (FIRST, SECOND, commits[3], "succeeded", None),
    ]


def test_a_failed_update_brings_nothing_and_a_destroyed_stack_has_no_release(
    project: Checkout, releases: object, git: Repository, backend: Backend, stellwerk: Command
) -> None:
    backend.record("2026-01-02T00:00:00+00:00", FIRST)
    backend.record("2026-01-03T00:00:00+00:00", SECOND, result="failed")
    # Undone, which changes no release; then read, which is no update.
    backend.record("2026-01-03T00:01:00+00:00", FIRST)
    backend.record("2026-01-04T00:00:00+00:00", SECOND, kind="refresh")
    backend.record("2026-01-05T00:00:00+00:00", FIRST, kind="destroy")
    assert lines(read(stellwerk)["entries"]) == [
        (None, FIRST, None, "succeeded", "applied, never committed"),
        (FIRST, SECOND, None, "failed", "the update failed"),
        (FIRST, None, None, "succeeded", "applied, never committed"),
    ]


def test_killed_updates_are_known_by_their_locks_and_by_the_one_that_settled_them(
    project: Checkout, git: Repository, backend: Backend, pulumi: FakeEngine, stellwerk: Command
) -> None:
    killed = "root@elsewhere, process 12, since 2026-01-02 00:00:00"
    said = str(Message("Else", killed))
    backend.record("2026-01-03T00:00:00+00:00", None, kind="refresh", message=said)
    pulumi.locks("prod").interrupt(killed.replace("01-02", "01-04"), datetime.fromisoformat("2026-01-04").timestamp())
    first, second = read(stellwerk)["entries"]
    for entry, day in ((first, 2), (second, 4)):
        assert entry["time"][:10] == f"2026-01-0{day}"
        assert (entry["by"], entry["result"], entry["after"]) == ("root@elsewhere", "killed", None)
        assert "killed" in entry["disagrees"]


def test_what_came_by_a_merge_came_with_the_merge(
    project: Checkout, releases: object, git: Repository, backend: Backend, stellwerk: Command
) -> None:
    git.run("switch", "--quiet", "-c", "topic")
    move(project, git, FIRST, "2026-01-02T00:00:00Z")
    move(project, git, SECOND, "2026-01-02T00:00:01Z")
    git.run("switch", "--quiet", "main")
    git.run("merge", "--quiet", "--no-ff", "-m", "Pull request 7", "topic", at="2026-01-03T00:00:00Z")
    (entry,) = read(stellwerk)["entries"]
    assert (entry["before"], entry["after"], entry["subject"]) == (None, SECOND, "Pull request 7")


def test_a_version_that_was_no_yaml_is_passed_over(
    project: Checkout, releases: object, git: Repository, backend: Backend, stellwerk: Command
) -> None:
    move(project, git, FIRST, "2026-01-02T00:00:00Z")
    text = project.text("prod")
    project.file("prod").write_bytes(b"config: [\n")
    git.commit("broken")
    project.file("prod").unlink()
    git.commit("removed")
    project.file("prod").write_bytes(text)
    git.commit("right again")
    assert [entry["after"] for entry in read(stellwerk)["entries"]] == [FIRST, None, FIRST]


def test_another_backend_is_asked_by_the_engine(
    project: Checkout, releases: object, git: Repository, bench: Bench, stellwerk: Command
) -> None:
    engine = FakeEngine(project, {**bench.engine.variables, "PULUMI_BACKEND_URL": "s3://states"}, bench.clock)
    engine.known.add("prod")
    times = {"startTime": "2026-01-03T00:00:00.000Z", "endTime": "2026-01-03T00:00:07.000Z"}
    engine.updates = [recorded("prod", {MODEL: FIRST}, **times, message="Pull request 7")]
    bench.engine = engine
    commit = move(project, git, FIRST, "2026-01-02T00:00:00Z")
    document = read(stellwerk)
    assert lines(document["entries"]) == [(None, FIRST, commit, "succeeded", None)]
    assert document["entries"][0]["seconds"] == 7
    assert document["now"][0]["disagrees"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "there never was a model 'nothing'"),
        ((MODEL, "--env", "prd"), 'environment "prd": unknown; allowed: dev, test, prod; did you mean prod?'),
    ],
    ids=["model", "environment"],
)
def test_what_nobody_knows_is_refused(
    arguments: tuple[str, ...], message: str, backend: Backend, stellwerk: Command
) -> None:
    code, out, err = stellwerk("history", *arguments)
    assert (code, out) == (1, "")
    assert message in " ".join(err.split())


def test_a_record_that_is_cut_off_is_named(backend: Backend, stellwerk: Command) -> None:
    (backend.history / "prod-1.history.json").write_text("{")
    code, _, err = stellwerk("history", MODEL)
    assert code == 1
    assert "prod-1.history.json is no record of an update" in " ".join(err.split())


def test_who_it_was_is_whom_ci_names_or_git(git: Repository, tmp_path: Path) -> None:
    assert author(git.root, {}) == WHO
    assert author(git.root, {"GITLAB_USER_LOGIN": "somebody-else"}) == "somebody-else"
    assert parse(str(Message("a; b"))) == Message("a, b")
    assert parse("stellwerk, by") is None
