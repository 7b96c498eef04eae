"""What the records of a chain say against one another, and against what a prediction's log line says."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.delivery.trace.conftest import World, at, chains
from tests.support.checkout import FIRST, MODEL, SECOND
from tests.support.session import Command


@dataclass(frozen=True)
class Contradiction:
    """The line of a prediction, what is wrong besides, and what is said of which link."""

    kind: str
    words: str
    release: str = SECOND
    hour: int = 13
    fields: dict[str, Any] = field(default_factory=dict)
    happens: Callable[[World], object] = bool


CONTRADICTIONS = {
    "the history never had it": Contradiction(
        "stack update", f"names {SECOND}, but by the history of prod it was {FIRST} then", hour=11
    ),
    "there is no such release": Contradiction("release", "there is no such release", release="v9-00000000"),
    "another model": Contradiction(
        "log line", "it is of the model wages", fields={"stellwerk": {"model": "wages", "release": SECOND}}
    ),
    "two releases": Contradiction(
        "log line",
        f"other lines with this request id name {FIRST}",
        happens=lambda world: world.predict("odd", FIRST, at(12)),
    ),
    "an edited release": Contradiction(
        "release",
        "the file is not as it was first committed",
        happens=lambda world: world.edit(SECOND, "evaluation", metrics={"accuracy": 0.97}),
    ),
    "a run with other data": Contradiction(
        "run",
        "the run has the data sha256:0",
        happens=lambda world: world.runs["run-2"].update({"stellwerk.data.digest": "sha256:0"}),
    ),
    "a run that is gone": Contradiction(
        "run", "the tracking server has no run run-2", happens=lambda world: world.runs.pop("run-2")
    ),
    "a pod of another release": Contradiction(
        "pod", f"the pod runs {FIRST}, not {SECOND}", fields={"kubernetes.pod.name": f"pod-of-{FIRST}"}
    ),
    "a pod of another image": Contradiction(
        "pod", "runs the image other@sha256:0, not the release's",
        happens=lambda world: world.run_pod(SECOND, "other@sha256:0"),
    ),
    "data that are not those in git": Contradiction(
        "data",
        "has another digest than the release says",
        happens=lambda world: world.edit(SECOND, "data", source="rows.csv"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_contradicts_is_said_and_the_exit_code_says_so(name: str, world: World, stellwerk: Command) -> None:
    made = CONTRADICTIONS[name]
    world.predict("odd", made.release, at(made.hour), **made.fields)
    made.happens(world)
    code, out, err = stellwerk("trace", MODEL, "--prediction", "odd", "--json")
    assert (code, err) == (1, "")
    (chain,) = chains(out)
    assert any(made.words in each for each in chain[made.kind]["contradictions"]), chain[made.kind]
    assert re.search(r"contradiction: .*" + re.escape(made.words), stellwerk("trace", MODEL, "--prediction", "odd")[1])


def test_a_state_or_a_pod_that_is_not_what_the_history_says_contradicts(world: World, stellwerk: Command) -> None:
    world.state(SECOND)
    world.pods.clear()
    world.run_pod(SECOND)
    code, out, _ = stellwerk("trace", MODEL, "--env", "prod", "--json")
    (chain,) = chains(out)
    assert code == 1
    assert chain["stack update"]["contradictions"] == [f"the state of prod has {SECOND}, its history {FIRST}"]
    assert chain["pod"]["contradictions"] == [f"prod should serve {FIRST}, but its pods are of {SECOND}"]


def test_a_clean_commit_s_stack_file_must_name_what_was_applied(world: World, stellwerk: Command) -> None:
    world.apply(SECOND, at(16), dirty="false")
    code, out, _ = stellwerk("trace", MODEL, "--env", "prod", "--json")
    assert code == 1
    assert "names None at its commit" in str(chains(out)[0]["stack update"]["contradictions"])


def test_a_release_that_is_served_and_has_no_file_contradicts(world: World, stellwerk: Command) -> None:
    world.releases.file(MODEL, FIRST).unlink()
    code, out, _ = stellwerk("trace", MODEL, "--env", "prod", "--json")
    (chain,) = chains(out)
    assert code == 1
    assert "there is no such release" in chain["release"]["contradictions"][0]
    assert chain["stack update"]["state"] == "proved"


def test_where_a_release_was_taken_away_none_has_answered_since(world: World, stellwerk: Command) -> None:
    world.apply(None, at(16))
    world.predict("after", FIRST, at(17))
    code, out, _ = stellwerk("trace", MODEL, "--prediction", "after", "--json")
    assert code == 1
    assert "it was no release then" in chains(out)[0]["stack update"]["contradictions"][0]
    assert stellwerk("trace", MODEL, "--prediction", "late")[0] == 0
    code, _, err = stellwerk("trace", MODEL, "--env", "prod")
    assert (code, "no update of prod has a release of it" in " ".join(err.split())) == (1, True)
