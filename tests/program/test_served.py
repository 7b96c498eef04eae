"""An update that ends the serving of a model says so first."""

from typing import Any

import pulumi
import pytest

from tests.program import harness
from tests.program.conftest import Run
from tests.program.harness import stack_values

RELEASE = "v2-3f2a9c1d"


def warnings(run: Run, monkeypatch: pytest.MonkeyPatch, outputs: dict[str, Any], release: str | None) -> list[str]:
    """What the program of test warns of, on a stack with these outputs."""
    asked: list[tuple[str, dict[Any, Any]]] = []
    said: list[str] = []

    def call(_: object, args: Any) -> tuple[dict[Any, Any], list[tuple[str, str]]]:
        asked.append((args.token, dict(args.args)))
        return {"outputs": outputs}, []

    monkeypatch.setattr(harness.Answers, "call", call)
    monkeypatch.setattr(pulumi.log, "warn", lambda line, *_, **__: said.append(line))
    values = stack_values("test")
    values["models"]["digits"]["release"] = release
    run(values, "test")
    assert [(token, args["name"].rpartition("/")[2]) for token, args in asked] == [
        ("pulumi:pulumi:readStackOutputs", "test")
    ]
    return said


def test_a_served_model_that_this_checkout_does_not_have_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other checkout's model: a plain `pulumi up` deletes it."""
    (line,) = warnings(run, monkeypatch, {"models": {"digits": RELEASE, "letters": "v3-00000000"}}, RELEASE)
    assert line.startswith(
        "letters: this stack serves v3-00000000, and stacks/Pulumi.test.yaml of this checkout has no"
    )


def test_a_model_that_loses_its_release_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = warnings(run, monkeypatch, {"models": {"digits": RELEASE}}, None)
    assert line == (
        f"digits: this stack serves {RELEASE}, and stacks/Pulumi.test.yaml has no release of it: "
        "the update stops serving it"
    )


@pytest.mark.parametrize("outputs", [{}, {"models": {}}, {"models": {"digits": None, "letters": None}}])
def test_a_stack_that_serves_nothing_yet_warns_of_nothing(
    run: Run, outputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert warnings(run, monkeypatch, outputs, None) == []


def test_another_release_is_no_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warnings(run, monkeypatch, {"models": {"digits": "v1-0a1b2c3d"}}, RELEASE) == []
