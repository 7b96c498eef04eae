"""`stellwerk ci setup`: what a forge's CI runs, from templates, for the environments and models of this checkout.

Below `delivery/templates/ci/<forge>` is each file where it goes in the checkout. `<branch>` stands for the branch whose
commits are applied. In a block `<environment>` and `<model>` stand for their names, `<trainer>` for the environment
that trains the model, `<after>` for the one that is applied before, and `<first>` for the environment where none is:

    #: each environment          the lines up to `#: end`, for each; `each model`, `each trainer` alike
    #: any model                 the lines up to `#: end`, once, where there is one at all
    #: include _checkout.yaml    the lines of a fragment, moved in as far as this line

A line whose name stands for nothing is left out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from delivery import stackfile
from delivery.clients.git import Git
from delivery.errors import DeliveryError, system_errors
from delivery.project import Project
from infra.contract.stacks import BASE
from infra.services.training import pipelines
from infra.values import file_name

TEMPLATES = Path(__file__).resolve().parents[1] / "templates" / "ci"
_FRAGMENT = "_"
_DIRECTIVE = re.compile(r"\s*#: (each|any|include|end)(?: (\S+))?$")
_NAME = re.compile(r"<(branch|environment|after|first|model|trainer)>")
_HEAD = re.compile(r"# Written by `stellwerk ci setup [a-z]+`, .*?; of ([0-9a-f]{12})\n")

Names = Mapping[str, str]
Blocks = Mapping[str, Sequence[Names]]


class Change(StrEnum):
    """What `setup` has done with a file, and why."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    # Somebody has changed it, and it is as new as the templates: their changes stay.
    KEPT = "kept as edited"
    # Somebody has changed it, and there is something new that it lacks.
    EDITED = "edited by hand"
    FOREIGN = "not written by this command"

    @property
    def waits(self) -> bool:
        """Whether somebody has to look at the file."""
        return self in (Change.EDITED, Change.FOREIGN)


@dataclass(frozen=True)
class Workflow:
    """A file of the checkout, what was done with it, and the difference where somebody has to look at it."""

    file: str
    change: Change
    difference: str = ""


def setup(project: Project, kind: str, *, force: bool = False) -> list[Workflow]:
    """Write the files that are absent or that nobody has edited, with `force` each; return what was done with each.

    Raise DeliveryError for an unknown kind of CI, in a checkout without environments, and for what can't be written.
    """
    made = generated(project, kind)
    with system_errors("writing the workflows", "make their folder writable"):
        return [_write(project.root, file, text, force) for file, text in made.items()]


def kinds() -> list[str]:
    """Return whose CI there are templates for."""
    return sorted(folder.name for folder in TEMPLATES.iterdir() if folder.is_dir())


def generated(project: Project, kind: str) -> dict[str, str]:
    """Return the text of each file that the forge's CI has for this checkout, by its path."""
    if kind not in kinds():
        raise DeliveryError(f"{kind}: there are no workflows for it; allowed: {', '.join(kinds())}")
    if not project.environments:
        raise DeliveryError(f"this checkout has no environment: write {BASE} and {file_name('<environment>')} first")
    folder = TEMPLATES / kind
    names, blocks = {"branch": Git(project.root).main_branch()}, _blocks(project)
    texts: dict[str, str] = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith(_FRAGMENT):
            lines = _filled(folder, iter(_lines(file)), names, blocks)
            if body := "".join(f"{line}\n" for line in lines).strip("\n"):
                texts[file.relative_to(folder).as_posix()] = _headed(kind, f"{body}\n")
    return texts


def _headed(kind: str, body: str) -> str:
    again = "which takes in new environments and models when it is run again"
    return f"# Written by `stellwerk ci setup {kind}`, {again}; of {_digest(body)}\n{body}"


def _digest(body: str) -> str:
    return sha256(body.encode()).hexdigest()[:12]


def _write(root: Path, name: str, text: str, force: bool) -> Workflow:
    file = root / name
    old = file.read_text(encoding="utf-8") if file.is_file() else None
    change = Change.WRITTEN if old is None else _change(old, text)
    if change.waits and not force:
        given = unified_diff((old or "").splitlines(), text.splitlines(), name, "what the command writes", lineterm="")
        return Workflow(name, change, "\n".join(given))
    if change in (Change.UNCHANGED, Change.KEPT) and not (force and old != text):
        return Workflow(name, change)
    file.parent.mkdir(parents=True, exist_ok=True)
    stackfile.write(file, name, text)
    return Workflow(name, Change.WRITTEN)


def _change(old: str, text: str) -> Change:
    """Return what is to be done with a file of this text where the other one would be written."""
    if old == text:
        return Change.UNCHANGED
    head, new = _HEAD.match(old), _HEAD.match(text)
    if head is None:
        # A team's own file may have taken in everything: the one line that includes another file, say.
        meant = {line.strip() for line in text.splitlines() if not line.startswith("#")}
        return Change.KEPT if meant <= {line.strip() for line in old.splitlines()} else Change.FOREIGN
    if head[1] == _digest(old[head.end() :]):
        return Change.WRITTEN
    return Change.KEPT if new and head[1] == new[1] else Change.EDITED


def _blocks(project: Project) -> Blocks:
    """Return what the templates' blocks are repeated for."""
    environments = project.environments
    trained = [(model, name) for name in environments for model in pipelines(project.environment(name))]
    trainers = [name for name in environments if any(name == trainer for _, trainer in trained)]
    return {
        "environment": [_place(project, name) for name in environments],
        "model": [{"model": model, "trainer": trainer} for model, trainer in sorted(trained)],
        "trainer": [{"trainer": name} for name in trainers],
    }


def _place(project: Project, name: str) -> Names:
    before = _before(project, name)
    return {"environment": name, "after": before, "first": "" if before else name}


def _before(project: Project, name: str) -> str:
    """Return the environment that is applied before: whose releases it takes, else the owner of its cluster."""
    values = project.environment(name)
    if values.releases_from or not values.cluster.shared:
        return values.releases_from or ""
    others = ((other, project.environment(other).cluster) for other in project.environments if other != name)
    owners = [other for other, its in others if not its.shared and its.context == values.cluster.context]
    return owners[0] if owners else ""


def _filled(folder: Path, lines: Iterator[str], names: Names, blocks: Blocks) -> Iterator[str]:
    """Yield the lines up to the end of the block that they stand in, filled."""
    for line in lines:
        directive = _DIRECTIVE.match(line)
        if directive is None:
            given = [names[name] for name in _NAME.findall(line) if name in names]
            if all(given):
                yield _NAME.sub(lambda match: names.get(match[1], match[0]), line)
            continue
        word, what = directive.groups()
        if word == "end":
            return
        if word == "include":
            indent = line[: len(line) - len(line.lstrip())]
            own = (f"{indent}{each}" for each in _lines(_fragment(folder, what)))
            yield from _filled(folder, own, names, blocks)
            continue
        inner = list(_block(lines))
        for entry in blocks[what] if word == "each" else [{}][: len(blocks[what])]:
            yield from _filled(folder, iter(inner), {**names, **entry}, blocks)


def _block(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines of a block with those of the blocks in it, without the end of its own."""
    depth = 1
    for line in lines:
        directive = _DIRECTIVE.match(line)
        depth += {"each": 1, "any": 1, "end": -1}.get(directive[1], 0) if directive else 0
        if depth == 0:
            return
        yield line


def _fragment(folder: Path, name: str) -> Path:
    own = folder / name
    return own if own.is_file() else TEMPLATES / name


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()
