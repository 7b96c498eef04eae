"""The stack file of an environment that is new: what it takes from the one before it, with node ports of its own."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from delivery import stackfile
from delivery.errors import DeliveryError
from delivery.project import Project
from infra.composition.service import NodePort, Stack
from infra.contract.problems import ConfigError, KeyPath
from infra.contract.stacks import BASE, NAMESPACE, require_name
from infra.services import gateway, tracking
from infra.services.serving import models
from infra.values import Folders, file_name, validate

_HEAD = """\
# yaml-language-server: $schema=../infra/contract/schemas/environment-v1.schema.json
# What differs from stacks/base.yaml.
"""
# What an environment has for all those after it, or for itself alone.
_NOT_TAKEN = ("caCertificate", "images", "tracking", "training")
# How an environment runs that uses what the owner of its cluster runs.
_SHARES: Mapping[str, Mapping[str, Any]] = {
    "cluster": {"shared": True},
    "registry": {"mode": "external"},
    "logging": {"mode": "external"},
}
_PORT, _URL = "nodePort", "url"
_PORTS = range(30000, 32768)


@dataclass(frozen=True)
class Wanted:
    """What is said of an environment when it is made: the one that it takes releases from, and whose it is."""

    after: str | None = None
    team: str | None = None


def provide_file(project: Project, environment: str, wanted: Wanted) -> bool:
    """Write the stack file of a new environment; return whether it was absent.

    Raise DeliveryError when there is none and nothing is said of it, or when what is said is not what the file says.
    """
    require_name(environment)
    name = file_name(environment)
    if project.file(environment).exists():
        values = project.environment(environment)
        for key, given, stated in (
            ("releasesFrom", wanted.after, values.releases_from),
            ("team", wanted.team, values.team),
        ):
            if given not in (None, stated):
                raise DeliveryError(
                    f"{name}: {NAMESPACE}:{key} is {stated or 'null'}, not {given}; change it there, or leave the "
                    "option away"
                )
        return False
    if wanted == Wanted():
        known = ", ".join(project.environments) or "none"
        raise DeliveryError(
            f"{name}: there is no such file; `stellwerk init {environment} --after <environment>` writes it, and names "
            f"the environment that it takes releases from; environments: {known}"
        )
    text = _HEAD + yaml.safe_dump(
        {"config": _config(project, environment, wanted)}, sort_keys=False, default_flow_style=None, width=120
    )
    stackfile.write(project.file(environment), name, text)
    return True


def _config(project: Project, environment: str, wanted: Wanted) -> dict[str, Any]:
    """Return what stands under `config:`."""
    if wanted.after:
        source = project.stack(wanted.after)
        values = _following(project, source, environment)
    else:
        source = _owner(project)
        values = _joining(project, source, environment)
    if wanted.team:
        values = {"environment": environment, "team": wanted.team, **values, **_groups(project, wanted.team)}
    ports = [port for port in source.node_ports() if port.path[-1] == _PORT]
    # Which of them it needs is seen in the whole; the numbers are another one's so far.
    draft = _with_ports(values, {port.path: port.port for port in ports})
    needed = {port.path for port in _checked(project, environment, draft).node_ports()}
    taken = {port.port for port in _neighbours(project, source)}
    chosen: dict[KeyPath, int] = {}
    for port in ports:
        if port.path in needed:
            chosen[port.path] = _free(port.port, taken)
            taken.add(chosen[port.path])
    own = _with_ports(values, chosen)
    _checked(project, environment, own)
    return {f"{NAMESPACE}:{key}": value for key, value in own.items()}


def _following(project: Project, source: Stack, environment: str) -> dict[str, Any]:
    """Return the own values, without ports, of one that follows another: those of its source, its pointers at null."""
    after = source.environment.environment
    own = project.files.own(after)
    pointers = {"release": None, "previous": None}
    served = {name: {**own.get("models", {}).get(name, {}), **pointers} for name in models(source.environment)}
    # Who owns the cluster says how it runs what others share.
    kept = own if source.environment.cluster.shared else {}
    others = {key: _without_own(key, value) for key, value in kept.items() if key not in _NOT_TAKEN}
    return {**others, "environment": environment, "releasesFrom": after, "models": served}


def _joining(project: Project, owner: Stack, environment: str) -> dict[str, Any]:
    """Return the own values, without ports, of one where releases enter, on a cluster that has an owner."""
    shared = project.files.merged({})
    differing = {
        section: {key: value for key, value in keys.items() if shared.get(section, {}).get(key) != value}
        for section, keys in _SHARES.items()
    }
    uri = tracking.url_inside(owner.environment)
    recorded = {"tracking": {"mode": "external", "url": uri}} if tracking.runs(owner.environment) else {}
    return {"environment": environment, "releasesFrom": None, **differing, **recorded, "models": {}}


def _groups(project: Project, team: str) -> dict[str, Any]:
    """Return the groups of a team's developers: those of the base, each with the team's name before it."""
    roles = project.files.merged({}).get("roles", {})
    return {"roles": {"developers": [f"{team}-{group}" for group in roles.get("developers", [])]}}


def _owner(project: Project) -> Stack:
    """Return the environment that owns the cluster; raise DeliveryError where none of the project does."""
    stacks = (project.stack(name) for name in project.environments)
    owner = next((stack for stack in stacks if not stack.environment.cluster.shared), None)
    if owner is None:
        raise DeliveryError("no environment of this project owns its cluster (cluster.shared: false); say --after")
    return owner


def _without_own(section: str, value: Any) -> Any:
    """Return a section without its node port and, of the gateway, the URL.

    Two environments behind one name would answer for one another.
    """
    own = (_PORT, _URL) if section == gateway.SECTION.name else (_PORT,)
    return {key: item for key, item in value.items() if key not in own} if isinstance(value, Mapping) else value


def _with_ports(values: Mapping[str, Any], ports: Mapping[KeyPath, int]) -> dict[str, Any]:
    """Return the values with node ports at these paths, the models last, and no section that is empty."""
    made = {key: value for key, value in values.items() if key != "models"}
    for (section, *_), port in ports.items():
        made[str(section)] = {**made.get(str(section), {}), _PORT: port}
    return {key: value for key, value in made.items() if value != {}} | {"models": values["models"]}


def _checked(project: Project, environment: str, own: Mapping[str, Any]) -> Stack:
    """Return the environment that these values would make; raise DeliveryError where they are not all it needs."""
    merged = project.files.merged(own)
    try:
        return validate(merged, environment, project.files, Folders.of(project.root), project.services).stack
    except ConfigError as error:
        raise DeliveryError(
            f"{BASE} does not say all that {environment} needs; put there what environments share, or write "
            f"{file_name(environment)} yourself:\n{error}"
        ) from None


def _neighbours(project: Project, source: Stack) -> Iterator[NodePort]:
    """Yield the node ports of all environments on the cluster of this one."""
    for name in project.environments:
        stack = project.stack(name)
        if stack.environment.cluster.context == source.environment.cluster.context:
            yield from stack.node_ports()


def _free(beside: int, taken: set[int]) -> int:
    """Return the next port that is free; raise DeliveryError where none is."""
    following = itertools.chain(range(beside + 1, _PORTS.stop), range(_PORTS.start, beside))
    free = next((port for port in following if port not in taken), None)
    if free is not None:
        return free
    raise DeliveryError(f"no node port of {_PORTS.start} to {_PORTS.stop - 1} is free on this cluster")
