"""A model with `serve.py` has a serving image of its own, on that of the server, which has no model's code."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.composition import hooks
from infra.contract.model import Models
from tests.program.conftest import Machine, Refused
from tests.program.harness import DIGEST, Recording, stack_values
from tests.program.test_training_images import REGISTRY, builds, write
from tests.support.models import HOOKED

MODEL, IMAGE = "texts", "serve-texts"
OWN = "serving/texts"
SERVED = {"serve.py", "words.py", "interface.json"}


@pytest.fixture
def folder(machine: Machine) -> Iterator[Path]:
    """The checkout with a model that has hooks, which dev trains, too; its folder."""
    place = machine.root / "models" / MODEL
    shutil.copytree(HOOKED / MODEL, place, ignore=shutil.ignore_patterns("__pycache__"))
    yield place
    shutil.rmtree(place)


def values() -> dict[str, Any]:
    given = stack_values("dev")
    given["training"][MODEL] = {"nodePool": None}
    return given


def staged(root: Path) -> dict[str, dict[str, bytes]]:
    """The files that the images of models, and the server's, are built from."""
    folders = [root / ".contexts" / name for name in ("serving", OWN, f"models/{MODEL}", "models/digits")]
    return {
        str(folder.relative_to(root / ".contexts")): {
            str(file.relative_to(folder)): file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file() and MODEL not in file.relative_to(folder).parts
        }
        for folder in folders
    }


def built_with(program: Recording) -> dict[str, str]:
    given: dict[str, str] = program.outputs["hooks"]
    return given


def test_it_is_built_on_the_server(machine: Machine, folder: Path) -> None:
    program = machine.run(values(), "dev")
    arguments = builds(program)[IMAGE]["buildArgs"]
    assert arguments["PARENT_IMAGE"] == f"{REGISTRY}/serving@{DIGEST}"
    assert arguments["PACKAGES"] == "none"
    assert built_with(program) == {IMAGE: arguments["HOOKS"]} == {IMAGE: hooks.digest(Models(folder.parent), MODEL)}
    assert program.outputs["images"][IMAGE] == f"{REGISTRY}/{IMAGE}@{DIGEST}"
    assert set(staged(machine.root)[OWN]) == SERVED
    assert "serve-digits" not in builds(program)


def test_a_model_that_is_not_trained_has_one_where_releases_enter(machine: Machine, folder: Path) -> None:
    served = {MODEL: {"release": None}}
    for stack, images in (("dev", {IMAGE}), ("test", set()), ("prod", set())):
        given = stack_values(stack)
        given["models"] |= served
        assert {name for name in builds(machine.run(given, stack)) if name.startswith("serve-")} == images


def test_its_own_lock_is_installed(machine: Machine, folder: Path) -> None:
    (folder / "requirements-serve.txt").write_text("x==1\n")
    program = machine.run(values(), "dev")
    assert builds(program)[IMAGE]["buildArgs"]["PACKAGES"] == "locked"
    assert builds(program)["model-texts"]["buildArgs"]["PACKAGES"] == "none"
    assert set(staged(machine.root)[OWN]) == {*SERVED, "requirements-serve.txt"}


def gate(folder: Path) -> None:
    document = folder / "model.yaml"
    document.write_text(document.read_text().replace("threshold: 0.9", "threshold: 0.8"))


def shape(folder: Path) -> None:
    document = folder / "model.yaml"
    document.write_text(document.read_text().replace("shape: [3]", "shape: [4]"))


def comment(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text((folder / name).read_text() + "# changed\n")

    return change


@pytest.mark.parametrize(
    ("change", "images"),
    [
        (comment("train.py"), {f"models/{MODEL}"}),
        (write("features.py"), {f"models/{MODEL}"}),
        (gate, {f"models/{MODEL}"}),
        (comment("serve.py"), {f"models/{MODEL}", OWN}),
        (comment("words.py"), {f"models/{MODEL}", OWN}),
        (shape, {f"models/{MODEL}", OWN}),
        (write("requirements-serve.txt"), {OWN}),
        (write("requirements-serve.in"), set()),
        (write("tests/test_serve.py"), set()),
    ],
)
def test_what_an_image_needs_not_changes_it_not(
    change: Callable[[Path], None], images: set[str], machine: Machine, folder: Path
) -> None:
    first = machine.run(values(), "dev")
    before = staged(machine.root)
    change(folder)
    second = machine.run(values(), "dev")
    after = staged(machine.root)
    assert {name for name in before if before[name] != after[name]} == images
    # Packages are another image, and the same hooks.
    assert (built_with(first) == built_with(second)) == (images != {f"models/{MODEL}", OWN})


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("from . import words\n", {"words.py"}),
        ("from .text.words import COUNTED\n", {"text/words.py"}),
        ("from .text import words\n", {"text/__init__.py", "text/words.py"}),
        ("def decode(inputs, folder):\n    from .words import COUNTED\n", {"words.py"}),
        ("import numpy\nfrom numpy import array\nfrom .nowhere import it\n", set()),
        ("from ..words import COUNTED\n", set()),
        ("from .again import it\n", {"again.py", "words.py"}),
    ],
)
def test_the_modules_that_it_imports_are_in_it(text: str, modules: set[str], folder: Path) -> None:
    write("text/words.py")(folder)
    if "from .text import" in text:
        write("text/__init__.py", "")(folder)
    write("again.py", "from .serve import decode\nfrom .words import COUNTED\n")(folder)
    write("serve.py", text)(folder)
    assert set(hooks._modules(folder)) == {"serve.py", *modules}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("from .train import WORDS\n", "models/texts/serve.py, which imports train.py"),
        ("def decode(:\n", "models/texts/serve.py:1: "),
    ],
)
def test_an_image_that_cannot_serve_is_refused(text: str, reason: str, folder: Path, refused: Refused) -> None:
    write("serve.py", text)(folder)
    message = refused("dev", values())
    assert reason in message
    assert "training.texts" in message


def test_a_stack_without_the_servers_image_is_refused(folder: Path, refused: Refused) -> None:
    given = values()
    given["cluster"]["shared"] = True
    given |= {"nodePools": [], "logging": {"mode": "external"}}
    given["training"]["digits"] = {}
    assert "models/texts/serve.py" in refused("dev", given)
