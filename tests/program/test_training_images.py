"""A model has an image of its own, on that of its framework: what changes one changes no other."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi import RunError
from ruamel.yaml import YAML

from infra.contract.model import Framework
from infra.revision import covers
from infra.services.training import sources
from tests.program.conftest import Machine
from tests.program.harness import DIGEST, Recording, stack_values

LETTERS = "letters"
REGISTRY = stack_values("dev")["registry"]["address"]


@pytest.fixture
def two(machine: Machine) -> Iterator[Path]:
    """The checkout with a second model, which dev trains, too; its folder."""
    folder = machine.root / "models" / LETTERS
    shutil.copytree(machine.root / "models" / "digits", folder)
    document = folder / "model.yaml"
    document.write_text(document.read_text().replace("name: digits", f"name: {LETTERS}"))
    yield folder
    shutil.rmtree(folder)


def values() -> dict[str, Any]:
    given = stack_values("dev")
    given["training"][LETTERS] = {"nodePool": None}
    return given


def builds(program: Recording) -> dict[str, Any]:
    return {name.removesuffix("-image"): inputs for name, inputs in program.of_kind("Image").items()}


def staged(root: Path) -> dict[str, dict[str, bytes]]:
    """The files that each image of a model is built from."""
    folders = [root / ".contexts" / name for name in ("training-pytorch", "models/digits", f"models/{LETTERS}")]
    return {
        str(folder.relative_to(root / ".contexts")): {
            str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()
        }
        for folder in folders
    }


def test_each_model_is_built_on_its_framework(machine: Machine, two: Path) -> None:
    program = machine.run(values(), "dev")
    images = builds(program)
    for model in ("digits", LETTERS):
        assert images[f"model-{model}"]["buildArgs"]["PARENT_IMAGE"] == f"{REGISTRY}/training-pytorch@{DIGEST}"
        template = program.of_kind("CronJob")[f"train-{model}"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = template["containers"]
        assert (container["image"], container["args"]) == (f"{REGISTRY}/model-{model}@{DIGEST}", [model])
    assert images["training-pytorch"]["buildArgs"]["FRAMEWORK"] == "pytorch"


def test_an_existing_file_is_not_trained_by_code_that_was_left_beside_it(machine: Machine, two: Path) -> None:
    document = YAML(typ="safe").load(two / "model.yaml")
    for key in ("parameters", "data", "training"):
        document.pop(key, None)
    YAML().dump(document | {"framework": "none"}, two / "model.yaml")
    given = values()
    given["training"][LETTERS] = {"resources": {"cpu": "500m", "memory": "1Gi"}}
    with pytest.raises(RunError, match=r"letters/model\.yaml: framework: none .* whatever train\.py is beside it"):
        machine.run(given, "dev")


def test_a_job_asks_for_what_the_models_document_says(machine: Machine, two: Path) -> None:
    document = two / "model.yaml"
    document.write_text(document.read_text().replace("cpu: 500m, memory: 2Gi", "cpu: 750m, memory: 3Gi"))
    templates = machine.run(values(), "dev").of_kind("CronJob")
    asked = {
        name: template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
        for name, template in templates.items()
        if name.startswith("train-")
    }
    assert asked[f"train-{LETTERS}"] == {"cpu": "750m", "memory": "3Gi"}
    assert asked["train-digits"] == {"cpu": "500m", "memory": "2Gi"}, "of the environment"


def test_a_lock_of_the_models_own_is_installed(machine: Machine, two: Path) -> None:
    (two / "requirements.txt").write_text("x==1\n")
    images = builds(machine.run(values(), "dev"))
    assert images[f"model-{LETTERS}"]["buildArgs"]["PACKAGES"] == "locked"
    assert images[f"model-{LETTERS}"]["buildArgs"]["UV"].startswith("uv==")
    assert images["model-digits"]["buildArgs"]["PACKAGES"] == "none"
    assert "UV" not in images["model-digits"]["buildArgs"]


def write(name: str, text: str = "new") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    return change


def replace(folder: Path) -> None:
    document = folder / "model.yaml"
    document.write_text(document.read_text().replace("default: 40", "default: 41"))


@pytest.mark.parametrize("change", [write("train.py"), write("features.py"), write("rows/rows.csv"), replace])
def test_what_a_model_is_made_of_changes_its_image_alone(
    change: Callable[[Path], None], machine: Machine, two: Path
) -> None:
    machine.run(values(), "dev")
    before = staged(machine.root)
    change(two)
    machine.run(values(), "dev")
    after = staged(machine.root)
    assert {name for name in before if before[name] != after[name]} == {f"models/{LETTERS}"}


@pytest.mark.parametrize(
    "name", ["tests/test_train.py", "README.md", "look.ipynb", "notebooks/a.csv", "requirements.in", ".env"]
)
def test_what_stands_beside_a_model_changes_no_image(name: str, machine: Machine, two: Path) -> None:
    machine.run(values(), "dev")
    before = staged(machine.root)
    write(name)(two)
    machine.run(values(), "dev")
    assert staged(machine.root) == before
    assert name == ".env" or not covers(sources(LETTERS, Framework.PYTORCH), f"models/{LETTERS}/{name}")


def test_an_image_has_the_document_as_json_and_no_tests(machine: Machine, two: Path) -> None:
    machine.run(values(), "dev")
    assert set(staged(machine.root)["models/digits"]) == {"model.json", "train.py"}
