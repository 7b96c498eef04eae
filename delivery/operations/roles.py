"""`stellwerk roles`: who has which part in each step, and where git, forge or cluster lets somebody else do it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.cluster.rights import RIGHTS, SERVING_API
from delivery.clients.codeowners import PLACES, CodeOwners, codeowners, group
from delivery.clients.forges.forge import Forge
from delivery.clients.forges.origin import origin
from delivery.clients.git import Git
from delivery.errors import DeliveryError
from delivery.project import Project
from delivery.session import Session
from infra.contract.environment import SERVING, TRAINING, Environment
from infra.contract.forge import ForgeKind
from infra.contract.responsibilities import Step
from infra.services.training import pipelines
from infra.values import file_name

# Of a step that the cluster itself lets a group do: what it then does, in which namespace.
_IN_CLUSTER = {
    "train": (TRAINING, "batch", "jobs", "create"),
    "promote": (SERVING, SERVING_API, "inferenceservices", "update"),
    "rollback": (SERVING, SERVING_API, "inferenceservices", "update"),
}


@dataclass(frozen=True)
class Part:
    """Who has which part in a step of an environment; all None where the values do not say."""

    environment: str
    step: str
    responsible: tuple[str, ...] | None
    accountable: str | None
    consulted: tuple[str, ...] | None
    informed: tuple[str, ...] | None


@dataclass(frozen=True)
class Contradiction:
    """A place that lets somebody do or approve a step who has no such part in it, or nobody whose part it is."""

    environment: str
    step: str
    place: str
    text: str


@dataclass(frozen=True)
class Roles:
    """The parts, and where they are contradicted; `unchecked` says what nobody could be asked about, and why."""

    parts: tuple[Part, ...]
    contradictions: tuple[Contradiction, ...] = ()
    unchecked: tuple[str, ...] = ()


def roles(session: Session, environment: str | None = None) -> Roles:
    """Return who has which part in each step, as the values say it; raise ConfigError where they are not valid."""
    names = _names(session.project, environment)
    return Roles(tuple(part for name in names for part in _parts(session.project.environment(name))))


def checked(session: Session, environment: str | None, forge: Callable[[], Forge]) -> Roles:
    """Return the same with what contradicts it in CODEOWNERS, in the protection of environments, and in the cluster.

    What cannot be asked is said in `unchecked`.
    """
    project, unchecked = session.project, []
    names = _names(project, environment)
    made: list[Contradiction] = []
    try:
        kind = origin(project.root, project.forge, session.variables).kind
    except DeliveryError as error:
        unchecked.append(f"CODEOWNERS: {error}")
    else:
        if kind in PLACES:
            made += _approvals(project, names, kind)
        else:
            unchecked.append(f"CODEOWNERS: nothing here reads it as {kind} does")
    made += [each for name in names for each in _rights(project.environment(name))]
    try:
        client = forge()
        made += [each for name in names for each in _protected(project.environment(name), client)]
    except DeliveryError as error:
        unchecked.append(f"environment protection: {error}")
    return Roles(roles(session, environment).parts, tuple(made), tuple(unchecked))


def _names(project: Project, environment: str | None) -> tuple[str, ...]:
    return (project.files.require(environment),) if environment else project.environments


def _parts(values: Environment) -> Iterator[Part]:
    """Yield each step of an environment; nothing is trained or released where no model is trained."""
    named = dict(values.responsibilities.steps())
    trains = bool(pipelines(values))
    for name in type(values.responsibilities).model_fields:
        if not trains and name in ("train", "release"):
            continue
        step = named.get(name)
        said = (step.responsible, step.accountable, step.consulted, step.informed) if step else (None,) * 4
        yield Part(values.environment, name, *said)


def _approvals(project: Project, names: Collection[str], kind: ForgeKind) -> Iterator[Contradiction]:
    """Yield where CODEOWNERS lets others approve than the values do."""
    top, prefix = Git(project.root).place()
    file = codeowners(top, kind)
    for name in names:
        values = project.environment(name)
        for path, steps in _files(values):
            for step, accountable in steps.items():
                said = _approval(file, prefix / path, accountable, set(steps.values()), top, kind)
                if said is not None:
                    yield Contradiction(name, step, "CODEOWNERS", said)


def _files(values: Environment) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each file whose change is a step, with who is accountable for each of these."""
    accountable = {name: step.accountable for name, step in values.responsibilities.steps()}
    moved = {name: who for name, who in accountable.items() if name in ("promote", "rollback")}
    yield file_name(values.environment), moved
    if "release" in accountable:
        # One of any model: a release that does not exist yet has the owners of its folder.
        yield from (
            (f"stacks/releases/{model}/v1.yaml", {"release": accountable["release"]}) for model in pipelines(values)
        )


def _approval(
    file: CodeOwners | None, path: Path, accountable: str, others: Collection[str], top: Path, kind: ForgeKind
) -> str | None:
    """Return what is wrong with who approves a file; None where it is the accountable group, and nobody else alone."""
    if file is None:
        return f"there is none ({', '.join(PLACES[kind])} in {top}): whoever may push changes {path}"
    rules = file.rules(path.as_posix())
    if not rules:
        return f"{file.name}: no line is about {path}: nobody has to approve a change; {accountable} should"
    known = {each.casefold() for each in others}
    best = _best([rule.owners for rule in rules], accountable, known)
    if best is None:
        return None
    where, owners = f"{file.name}:{rules[best].line}", rules[best].owners
    return f"{where}: {_who(owners, accountable, known)} {path}, but accountable is {accountable}"


def _best(rules: Sequence[Sequence[str]], accountable: str, known: set[str]) -> int | None:
    """Return the index of the rule that comes next to what is wanted; None where one is as it is wanted.

    Each rule needs an approval of its own, by any one of its owners: one of which the accountable group is an owner,
    beside nobody but those who are accountable for the same file, is enough.
    """
    with_it = [index for index, owners in enumerate(rules) if accountable.casefold() in map(group, owners)]
    if any({group(owner) for owner in rules[index]} <= known for index in with_it):
        return None
    return with_it[0] if with_it else len(rules) - 1


def _who(owners: Sequence[str], accountable: str, known: set[str]) -> str:
    if accountable.casefold() not in map(group, owners):
        return f"{', '.join(owners)} may approve"
    return f"{', '.join(owner for owner in owners if group(owner) not in known)}, too, may approve"


def _rights(values: Environment) -> Iterator[Contradiction]:
    """Yield where the role bindings let others do a step than the values do, and keep somebody from it."""
    steps = dict(values.responsibilities.steps())
    for name, step in steps.items():
        if name not in _IN_CLUSTER or (name == "train" and not pipelines(values)):
            continue
        # Both change what serves, and the rights know no difference.
        same = [each for other, each in steps.items() if _IN_CLUSTER.get(other) == _IN_CLUSTER[name]]
        parts = {each for step_of in same for each in (*step_of.responsible, step_of.accountable)}
        able = dict(_able(values, *_IN_CLUSTER[name]))
        purpose, _, resource, verb = _IN_CLUSTER[name]
        what = f"{verb} {resource} in {values.namespace(purpose)}"
        for who, role in able.items():
            if who not in parts:
                yield Contradiction(
                    values.environment, name, "RBAC", f"{who} may {what} (roles.{role}), but has no part in it"
                )
        # An update itself is made by an administrator, or by CI: for it nobody needs a right of these.
        for who in step.responsible if name == "train" else ():
            if who not in able:
                yield Contradiction(
                    values.environment, name, "RBAC", f"{who} is responsible, but may not {what}: no role has it"
                )


def _able(values: Environment, purpose: str, api: str, resource: str, verb: str) -> Iterator[tuple[str, str]]:
    """Yield each group that may do something in a namespace, with the role by which it may."""
    for role, rights in RIGHTS.items():
        rules = rights.get(purpose, ())
        if any(rule.group == api and resource in rule.resources and verb in rule.verbs for rule in rules):
            yield from ((who, role) for who in getattr(values.roles, role))


def _protected(values: Environment, forge: Forge) -> Iterator[Contradiction]:
    """Yield where the forge lets others approve an update of the environment than the values do."""
    promote: Step | None = values.responsibilities.promote
    if promote is None:
        return
    # The forges' libraries take long to import.
    from delivery.clients.forges.protection import protection

    name, accountable = values.environment, promote.accountable
    rules = protection(forge, name)
    known = {accountable.casefold()}
    best = _best(rules, accountable, known)
    if not rules:
        said = f"the environment {name} has no required reviewers: nobody has to approve; {accountable} should"
    elif best is not None:
        said = f"{_who(rules[best], accountable, known)} updates of {name}, but accountable is {accountable}"
    else:
        return
    yield Contradiction(name, "promote", "environment protection", f"{forge.name}: {said}")
