"""An update that ends the serving of a model says so first."""

from typing import Any

import pytest

from tests.program.conftest import Run
from tests.program.harness import stack_values

RELEASE = "v2-3f2a9c1d"


def warnings(run: Run, outputs: dict[str, Any], release: str | None) -> list[str]:
    """What the program of test warns of, on a stack with these outputs."""
    values = stack_values("test")
    values["models"]["digits"]["release"] = release
    return run(values, "test", before={"test": outputs}).warnings


def test_a_served_model_that_this_checkout_does_not_have_is_named(run: Run) -> None:
    """The other checkout's model: a plain `pulumi up` deletes it."""
    (line,) = warnings(run, {"models": {"digits": RELEASE, "letters": "v3-00000000"}}, RELEASE)
    assert line.startswith(
        "letters: this stack serves v3-00000000, and stacks/Pulumi.test.yaml of this checkout has no"
    )


def test_a_model_that_loses_its_release_is_named(run: Run) -> None:
    (line,) = warnings(run, {"models": {"digits": RELEASE}}, None)
    assert line == (
        f"digits: this stack serves {RELEASE}, and stacks/Pulumi.test.yaml has no release of it: "
        "the update stops serving it"
    )


@pytest.mark.parametrize("outputs", [{}, {"models": {}}, {"models": {"digits": None, "letters": None}}])
def test_a_stack_that_serves_nothing_yet_warns_of_nothing(run: Run, outputs: dict[str, Any]) -> None:
    assert warnings(run, outputs, None) == []


def test_another_release_is_no_end(run: Run) -> None:
    assert warnings(run, {"models": {"digits": "v1-0a1b2c3d"}}, RELEASE) == []
