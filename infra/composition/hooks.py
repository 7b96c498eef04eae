"""A model's own serving image: the server's, with `serve.py`, the modules that it imports, and the interface."""

import ast
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from infra.composition.context import Composition
from infra.composition.contexts import SHIPPING, STAGED, stage, stage_shipping
from infra.composition.service import Build
from infra.contract.columns import Output
from infra.contract.environment import Environment
from infra.contract.model import HOOKS, Model, Models
from infra.contract.problems import KeyPath, Problem

SERVING = "serving"
LOCK = "requirements-serve.txt"
_IMAGE = f"{SERVING}/model-image"
_INTERFACE = "interface.json"
# What has the framework: the serving image has none.
_TRAINING = "train.py"


def server(environment: Environment) -> Build:
    """Return the image that serves models, and that those with code of their own are built on."""
    arguments = {"CUDA": "1"} if environment.images.serving_cuda else {}
    return Build(
        SERVING,
        sources=(SERVING, f"!{SERVING}/model-image", SHIPPING),
        contexts={SHIPPING: lambda context: stage_shipping(context.root)},
        arguments=arguments,
        sets_times=True,
        installs=True,
    )


def image(model: str) -> str:
    """Return the name of a model's own serving image."""
    return f"serve-{model}"


def has_hooks(models: Models, model: str) -> bool:
    """Return whether a model has code of its own that runs where it is served."""
    return (models.folder / model / HOOKS).is_file()


def builds(models: Models, named: Iterable[str]) -> dict[str, Build]:
    """Return the images of those of the named models that have code of their own, by name."""
    return {image(model): build(models, model) for model in named if has_hooks(models, model)}


def build(models: Models, model: str) -> Build:
    """Return how the image is built: a change of what only training needs makes no other one."""
    locked = (models.folder / model / LOCK).is_file()
    own = (f"models/{model}/{name}" for name in (*_modules(models.folder / model), LOCK))
    return Build(
        _IMAGE,
        parent=SERVING,
        sources=(SERVING, SHIPPING, *own),
        contexts={"model": partial(_folder, model)},
        arguments={"PACKAGES": "locked" if locked else "none"},
        sets_times=True,
        installs=locked,
        hooks=digest(models, model),
    )


def digest(models: Models, model: str) -> str:
    """Return ``sha256:<hex>`` of the code and the interface: what a model is measured with, and served with."""
    folder = models.folder / model
    state = sha256(json.dumps(_interface(models.load(model)), sort_keys=True).encode())
    for name in _modules(folder):
        content = (folder / name).read_bytes()
        state.update(b"%b %d\n%b" % (name.encode(), len(content), content))
    return f"sha256:{state.hexdigest()}"


def problems(models: Models, model: str, key: KeyPath) -> Iterator[Problem]:
    """Yield what makes an image with which nothing could be served; `key` is the one that wants it."""
    folder, place = models.folder / model, f"{models.name}/{model}/{HOOKS}"
    try:
        ast.parse((folder / HOOKS).read_bytes())
    except SyntaxError as error:
        yield Problem(key, f"{place}:{error.lineno}: {error.msg}", "Python", "correct that line")
    for name, imports in _imported(folder).items():
        if _TRAINING in imports:
            yield Problem(
                key,
                f"{models.name}/{model}/{name}, which imports {_TRAINING}",
                "modules without the framework, which no serving image has",
                "move what both need into a module of its own",
            )


def _folder(model: str, context: Composition) -> Path:
    return staged(Models(context.root / "models"), model, context.root / STAGED / SERVING / model)


def staged(models: Models, model: str, place: Path) -> Path:
    """Make `place` what the image has of a model's folder: the code that answers, its lock, the interface as JSON."""
    names = {*_modules(models.folder / model), LOCK}
    return stage(
        models.folder / model,
        place,
        lambda path: path in names,
        {_INTERFACE: _interface(models.load(model))},
    )


def _interface(document: Model) -> dict[str, Any]:
    """Return the tensors of requests and answers, and those of the model's file."""
    own = document.session
    return {
        "inputs": _tensors(document.inputs),
        "outputs": _tensors(document.outputs),
        "session": {
            "inputs": _tensors(own.inputs or document.inputs),
            "outputs": _tensors(own.outputs or document.outputs),
        },
    }


def _tensors(columns: Mapping[str, Output]) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": column.datatype.value, "shape": [-1, *column.shape]}
        for name, column in columns.items()
    ]


def _modules(folder: Path) -> list[str]:
    """Return `serve.py` and the modules of the folder that it imports, but for training's, by their paths in it."""
    return sorted(_imported(folder).keys() - {_TRAINING})


def _imported(folder: Path) -> dict[str, set[str]]:
    """Return the modules that `serve.py` imports from its folder, itself and by one another, and what each imports."""
    known: dict[str, set[str]] = {}
    waiting = [HOOKS]
    while waiting:
        name = waiting.pop()
        if name not in known:
            known[name] = set() if name == _TRAINING else set(_imports(folder, name))
            waiting += known[name]
    return known


def _imports(folder: Path, name: str) -> Iterator[str]:
    """Yield the modules of the folder that one of them imports by a dot; of what is no Python none."""
    file = folder / name
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except SyntaxError:
        return
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and 0 < node.level <= len(Path(name).parents):
            package = file.parents[node.level - 1] / (node.module or "").replace(".", "/")
            for place in (package, *(package / alias.name for alias in node.names)):
                for module in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
                    if module.is_file() and module.is_relative_to(folder):
                        yield module.relative_to(folder).as_posix()
