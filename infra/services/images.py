"""The images that the services of an environment are built as: each by digest, from folders of this checkout."""

import re
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from infra.composition.context import Composition
from infra.composition.contexts import STAGED, stage
from infra.composition.handover import HOOKS, BuiltImages, RegistryAccess
from infra.composition.service import Build, Service, Stack
from infra.contract.environment import Environment
from infra.contract.model import Models
from infra.contract.problems import ConfigError, KeyPath, Problem, show
from infra.contract.versions import EPOCH, version
from infra.revision import covers, revisions
from infra.targets.target import Folder
from infra.targets.variables import BUILD_CONTEXTS

if TYPE_CHECKING:
    import pulumi

    from components.registry.image_build import ImageBuild

# Keys of `images` that are no reference of an image.
_OTHERS = {"base_python", "serving_cuda", "mirror", "digests"}
_BASE, _HOOKS = "base-python", "HOOKS"
_BASE_FOLDER = Folder(BUILD_CONTEXTS, _BASE)


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack builds images."""
    return environment.images.base_python is not None


def builds_base(environment: Environment) -> bool:
    """Return whether the environment builds its Python base from the target instead of pulling one."""
    base = environment.images.base_python
    return base is not None and base.build


def _rules(stack: Stack) -> Iterator[Problem]:
    for path, image in _references(stack.environment).items():
        if image.endswith(":latest"):
            yield Problem(path, show(image), "a tag other than latest, or a digest", "name the version you tested")
    yield from _mirror(stack)
    if runs(stack.environment):
        return
    for service in stack.builders():
        yield Problem(
            ("images", "basePython"),
            "nothing",
            f"{{build: true}} or {{image: <reference>}}, because {service.name} needs an image that this stack builds",
            f"set basePython, or change {service.switch.key}" if service.switch else "set basePython",
        )


def _mirror(stack: Stack) -> Iterator[Problem]:
    """Yield what the mirror lacks: whoever names one gets every platform image from it, by digest."""
    images = stack.environment.images
    if images.mirror is None:
        if images.digests:
            action = "name the mirror, or remove the digests"
            yield Problem(("images", "mirror"), "nothing", "host/path, because digests are those of a mirror", action)
        return
    known = {f"{image.name}:{version(image.name)}" for service in stack.services for image in service.images}
    for key in sorted(images.digests.keys() - known):
        allowed = f"name:version of a platform image: {', '.join(sorted(known))}"
        yield Problem(("images", "digests", key), "no platform image of this checkout", allowed, "remove it")
    named = {image for service in stack.running() for image in service.images if not images.names(image)}
    for key in sorted({f"{image.name}:{version(image.name)}" for image in named} - images.digests.keys()):
        yield Problem(
            ("images", "digests", key),
            "nothing",
            "the digest of the image in the mirror, because pods run it",
            f"run the script of `stellwerk images --mirror {images.mirror}`, and write down what it prints",
        )


def _references(environment: Environment) -> dict[KeyPath, str]:
    """Return the references that the environment names, by their keys."""
    given = environment.images.model_dump(by_alias=True, exclude=_OTHERS, exclude_none=True)
    named: dict[KeyPath, str] = {("images", key): str(reference) for key, reference in given.items()}
    base = environment.images.base_python
    if base is not None and base.image is not None:
        named["images", "basePython", "image"] = base.image
    return named


def _compose(context: Composition) -> None:
    import pulumi

    base_python = context.environment.images.base_python
    base: pulumi.Input[str] | None = base_python.image if base_python else None
    if builds_base(context.environment):
        base = _image(context, _BASE, context.target.folder(_BASE_FOLDER), None).reference
    images: dict[str, pulumi.Output[str]] = {}
    builds = context.stack.builds(Models(context.root / "models"))
    built_from = revisions(context.root, {name: build.sources or (build.folder,) for name, build in builds.items()})
    hooks: dict[str, pulumi.Output[str]] = {}
    # Another service may build what one is built on.
    parents = {name: [build.parent] if build.parent else [] for name, build in builds.items()}
    for name in TopologicalSorter(parents).static_order():
        build = builds[name]
        arguments: dict[str, pulumi.Input[str]] = dict(build.arguments)
        if build.parent:
            arguments["PARENT_IMAGE"] = images[build.parent]
        if build.installs:
            arguments["UV"] = locked(context.root, "uv")
        if build.hooks:
            arguments[_HOOKS] = build.hooks
        made = _image(context, name, _stage(context, name, build), base, build, built_from[name], arguments)
        images[name] = made.reference
        if build.hooks:
            # As it was built, which an update of something else leaves as it is.
            hooks[name] = made.arguments.apply(lambda given: given.get(_HOOKS, ""))
    if hooks:
        pulumi.export(HOOKS, hooks)
    _hand_over(context, BuiltImages(images, built_from))


def _stage(context: Composition, name: str, build: Build) -> Path:
    """Return a copy of an image's folder: the provider hashes modes, of which git keeps but one bit."""
    sources = build.sources or (build.folder,)
    return stage(
        context.root / build.folder,
        context.root / STAGED / name,
        lambda path: covers(sources, f"{build.folder}/{path}"),
    )


def _image(
    context: Composition,
    name: str,
    folder: Path,
    base: "pulumi.Input[str] | None",
    build: Build | None = None,
    revision: str | None = None,
    arguments: "Mapping[str, pulumi.Input[str]] | None" = None,
) -> "ImageBuild":
    from components.registry.image_build import ImageBuild

    registry = context.get(RegistryAccess)
    return ImageBuild(
        name,
        {
            "repository": name,
            "registry": registry.address,
            "login": registry.builder,
            "context": context.relative(folder),
            "epoch": EPOCH,
            "base_image": base,
            "contexts": {key: context.relative(find(context)) for key, find in build.contexts.items()} if build else {},
            "sets_times": build.sets_times if build else False,
            "revision": revision,
            "arguments": arguments,
            "secrets": context.target.build_secrets(),
        },
    )


def locked(root: Path, package: str) -> str:
    """Return a package's line of the development lock: its version and hashes.

    Raise ConfigError where the lock has no such line.
    """
    lock = root / "requirements" / "dev.txt"
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    lines = re.search(rf"^{re.escape(package)}==(?:.*\\\n)*.*", text, re.MULTILINE)
    if lines is None:
        raise ConfigError(
            f"{lock} has no line {package}==…, which images are built with; restore it, or run `make lock`"
        )
    return " ".join(lines.group().replace("\\\n", " ").split())


def _hand_over(context: Composition, images: BuiltImages) -> None:
    import pulumi

    context.give(images)
    pulumi.export("images", dict(images.by_name))


SERVICE = Service(
    "images",
    needs=(RegistryAccess,),
    gives=(BuiltImages,),
    runs=runs,
    rules=_rules,
    folders=lambda environment: [_BASE_FOLDER] if builds_base(environment) else [],
    compose=_compose,
    connect=lambda context: _hand_over(context, BuiltImages({}, {})),
)
