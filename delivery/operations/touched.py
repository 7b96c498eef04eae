"""Which environments a change touches: by the files that differ between its merge base and its head."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from delivery.clients.git import Git
from delivery.project import Project
from infra.contract.problems import ConfigError
from infra.contract.stacks import BASE, file_name
from infra.services.serving import models
from infra.services.training import pipelines

# What no stack is made of. Everything that is not named here or below is taken for a part of the program.
_APART = ("benchmarks/", "delivery/", "docs/", "tests/", "stacks/feedback/", "stacks/differences.yaml", "Makefile", ".")
_APART_ENDS = (".md",)
_STACK = re.compile(r"stacks/Pulumi\.(.+)\.yaml")
_RELEASE = re.compile(r"stacks/releases/([^/]+)/([^/]+)\.yaml")
# Documents about a model: its own folder, its test sets, the evidence of its releases.
_MODEL = re.compile(r"(?:models|stacks/testsets|stacks/evidence)/([^/]+)/.+")


@dataclass(frozen=True)
class Touched:
    """What a change touches: environments in their order, those whose stack file is gone, releases and models.

    `base` is the merge base, `head` the commit that is looked at. `new` are environments that have no file at the base.
    `releases` and `models` are those whose files were added or changed; `edited` are releases that the base has too.
    """

    base: str
    head: str
    environments: tuple[str, ...]
    new: frozenset[str]
    gone: tuple[str, ...]
    releases: tuple[tuple[str, str], ...]
    edited: tuple[tuple[str, str], ...]
    models: tuple[str, ...]


def touched(project: Project, base: str, head: str) -> Touched:
    """Return what a commit, whose files are checked out, changes since it left another one's history.

    Raise DeliveryError when git does not know one of the two, or no commit that both have.
    """
    git = Git(project.root)
    head = git.commit(head)
    base = git.merge_base(git.commit(base), head)
    paths = [path for path in git.changed(base, head) if not _is_apart(path)]
    known = project.environments
    files = {match[1] for path in paths if (match := _STACK.fullmatch(path))}
    releases = [(match[1], match[2]) for path in paths if (match := _RELEASE.fullmatch(path))]
    own = sorted({match[1] for path in paths if (match := _MODEL.fullmatch(path))})
    if any(not _is_document(path) for path in paths):
        environments: Collection[str] = known
    else:
        environments = {name for name in known if name in files or _uses(project, name, own, releases)}
    return Touched(
        base,
        head,
        tuple(name for name in known if name in environments),
        frozenset(name for name in known if not git.has(base, file_name(name))),
        tuple(sorted(name for name in files if git.has(base, file_name(name)) and not git.has(head, file_name(name)))),
        tuple(each for each in releases if git.has(head, f"stacks/releases/{each[0]}/{each[1]}.yaml")),
        tuple(each for each in releases if git.has(base, f"stacks/releases/{each[0]}/{each[1]}.yaml")),
        tuple(name for name in own if git.has(head, f"models/{name}/model.yaml")),
    )


def _is_apart(path: str) -> bool:
    return path.startswith(_APART) or ("/" not in path and PurePosixPath(path).suffix in _APART_ENDS)


def _is_document(path: str) -> bool:
    """Return whether a file is about one environment or one model alone."""
    return path != BASE and any(pattern.fullmatch(path) for pattern in (_STACK, _RELEASE, _MODEL))


def _uses(project: Project, environment: str, changed: Collection[str], releases: Collection[tuple[str, str]]) -> bool:
    """Return whether an environment serves or trains one of the models, or points to one of the releases.

    One that cannot be read may.
    """
    try:
        stack = project.stack(environment)
    except ConfigError:
        return bool(changed or releases)
    named = {*models(stack.environment), *pipelines(stack.environment)}
    return not named.isdisjoint(changed) or any((each.model, each.release) in releases for each in stack.pointers())
