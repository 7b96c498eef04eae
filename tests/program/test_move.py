"""An update that moves one model declares that model and the services, and says of all models what is applied."""

from pathlib import Path
from typing import Any

from tests.program.conftest import Refused, Run
from tests.program.harness import stack_values

RELEASE = "v2-3f2a9c1d"
COMPONENT = "stellwerk:index:InferenceService::"


def values(**more: dict[str, Any]) -> dict[str, Any]:
    given = stack_values("prod")
    given["models"] = {"digits": {"release": RELEASE}, "letters": {"release": None}, **more}
    return given


def move(folder: Path, model: str) -> str:
    file = folder / "move"
    file.write_text(model)
    return str(file)


def test_the_moved_model_alone_is_declared_beside_the_services(run: Run, tmp_path: Path) -> None:
    """The release of the other one is not even read: no such file exists."""
    given = values(words={"release": "v9-00000000"})
    moved = run(given, "prod", STELLWERK_MOVE=move(tmp_path, "digits"))
    whole = run(values(), "prod")
    assert moved.inputs.keys() == whole.inputs.keys()
    assert f"{COMPONENT}digits" in moved.inputs
    none = run(given, "prod", STELLWERK_MOVE=move(tmp_path, "letters"))
    own = {key for key, parent in moved.parents.items() if parent == f"{COMPONENT}digits"}
    assert len(own) > 3
    assert none.inputs.keys() == moved.inputs.keys() - own - {f"{COMPONENT}digits"}


def test_the_outputs_and_the_routes_are_those_of_all_models(run: Run, tmp_path: Path) -> None:
    given = values(words={"release": None, "replicas": 2})
    moved = run(given, "prod", STELLWERK_MOVE=move(tmp_path, "letters"))
    whole = run(given, "prod")
    assert moved.outputs == whole.outputs
    assert set(moved.outputs["modelDigests"]) == {"digits", "letters", "words"}
    assert moved.of_kind("ConfigMap") == whole.of_kind("ConfigMap")


def test_a_digest_says_whether_the_values_of_a_model_are_the_same(run: Run) -> None:
    one = run(values(), "prod").outputs["modelDigests"]
    assert run(values(digits={"release": RELEASE, "replicas": 1}), "prod").outputs["modelDigests"] == one
    more = run(values(digits={"release": RELEASE, "replicas": 2}), "prod").outputs["modelDigests"]
    assert (more["letters"], more["digits"] != one["digits"]) == (one["letters"], True)


def test_a_variable_that_names_no_file_is_refused(refused: Refused, tmp_path: Path) -> None:
    """Without the engine's own confinement the program would delete all other models."""
    message = refused("prod", values(), STELLWERK_MOVE=str(tmp_path / "gone"))
    assert message.startswith(f"STELLWERK_MOVE: there is no file {tmp_path}/gone; it is set by `stellwerk promote`")
    assert message.endswith("run: unset STELLWERK_MOVE")
