"""The stack files of a checkout: what they share, what they are merged to, and which environment follows which.

`stacks/base.yaml` says what environments share, `stacks/Pulumi.<environment>.yaml` what differs: mappings are merged,
lists and scalars are replaced, null is null.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from infra.contract.fields import ENVIRONMENT_NAME, ENVIRONMENT_RULE
from infra.contract.problems import ConfigError, Problem, Source, read_text, show, suggest
from infra.contract.reading import positioned, tree

BASE = "stacks/base.yaml"
NAMESPACE = "stellwerk"
_PREFIX = f"{NAMESPACE}:"
# What no two environments share.
_OWN = ("environment", "credentials")
_ORIGIN = "releasesFrom"
_FILE = re.compile(r"Pulumi\.(.+)\.yaml")
# What makes a stack file a cluster's: no environment has this key.
TARGET = "target"
_OF_CLUSTER = re.compile(rf"^\s+[\"']?{NAMESPACE}:{TARGET}[\"']?\s*:", re.MULTILINE)


def file_name(environment: str) -> str:
    """Return the stack file of an environment, as messages name it."""
    return f"stacks/Pulumi.{environment}.yaml"


def require_name(environment: str) -> None:
    """Raise ConfigError unless an environment may have this name."""
    if re.fullmatch(ENVIRONMENT_NAME, environment) is None:
        raise ConfigError(f"environment {show(environment)}: not a name; allowed: {ENVIRONMENT_RULE}")


def own(config: Any) -> dict[str, Any]:
    """Return the values of this project's namespace, by their keys without it; an empty text is null.

    The engine writes null so when it stores credentials, and hands it to the program so.
    """
    if not isinstance(config, Mapping):
        return {}
    values = {key.removeprefix(_PREFIX): value for key, value in config.items() if key.startswith(_PREFIX)}
    return {key: None if value == "" else value for key, value in values.items()}


def overlay(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values on top of those of the base: mappings merged, anything else replaced."""
    merged = dict(base)
    for key, value in values.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(below, value) if both else value  # type: ignore[arg-type]
    return merged


@dataclass(frozen=True)
class StackFiles:
    """The stack files of the checkout at `root`: each is read when it is first asked for, and once."""

    root: Path
    _texts: dict[str, str | None] = field(default_factory=dict, compare=False)

    def names(self) -> list[str]:
        """Return the names of all environments, sorted; files with another name than an environment's are no stack."""
        return [name for name in self._stacks() if not self.is_cluster(name)]

    def clusters(self) -> list[str]:
        """Return the names of the stacks that make clusters, sorted."""
        return [name for name in self._stacks() if self.is_cluster(name)]

    def is_cluster(self, name: str) -> bool:
        """Return whether a stack file is a cluster's; one that cannot be read is an environment's, which says why."""
        try:
            return _OF_CLUSTER.search(self.text(name)) is not None
        except ConfigError:
            return False

    def _stacks(self) -> list[str]:
        matches = (_FILE.fullmatch(file.name) for file in (self.root / "stacks").glob("Pulumi.*.yaml"))
        return sorted(match[1] for match in matches if match and re.fullmatch(ENVIRONMENT_NAME, match[1]))

    def ordered(self) -> tuple[str, ...]:
        """Return the names of all environments, each after the one that it takes releases from, else by name.

        What is wrong with a file is an error when that environment is used, and none here.
        """
        names = self.names()
        sorter = TopologicalSorter({name: {self._origin(name)} & set(names) - {name} for name in names})
        try:
            sorter.prepare()
        except CycleError:
            return tuple(names)
        order: list[str] = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            order += ready
            sorter.done(*ready)
        return tuple(order)

    def require(self, environment: str) -> str:
        """Return the name of an environment; raise ConfigError naming those that exist."""
        names = self.names()
        # Whose file was read already is known, even if somebody has removed it since.
        if environment in names or (self._texts.get(environment) is not None and not self.is_cluster(environment)):
            return environment
        require_name(environment)
        known = ", ".join(self.ordered()) or "none"
        how = f"write {file_name(environment)}, or run `stellwerk init {environment} --after <environment>`"
        raise ConfigError(
            f"environment {show(environment)}: unknown; allowed: {known}; {suggest(environment, names, how)}"
        )

    def require_cluster(self, name: str) -> str:
        """Return the name of a stack that makes a cluster; raise ConfigError naming those that exist."""
        names = self.clusters()
        if name in names:
            return name
        action = suggest(name, names, f"write {file_name(name)} with the key {_PREFIX}{TARGET}")
        raise ConfigError(f"cluster {show(name)}: unknown; allowed: {', '.join(names) or 'none'}; {action}")

    def text(self, environment: str) -> str:
        """Return the stack file's text with its line endings as they are; raise ConfigError when it is not readable."""
        text = self._texts.get(environment)
        if text is None:
            name = file_name(environment)
            text = self._texts[environment] = read_text(self.root / name, name)
        return text

    def base(self) -> str | None:
        """Return the text of what environments share, None without such a file."""
        if BASE not in self._texts:
            file = self.root / BASE
            self._texts[BASE] = read_text(file, BASE) if file.exists() else None
        return self._texts[BASE]

    def put(self, environment: str, text: str) -> None:
        """Take a text that was written as the stack file's."""
        self._texts[environment] = text

    def forget(self, environment: str) -> None:
        """Read the stack file, and what environments share, again: somebody may have edited them meanwhile."""
        self._texts.pop(environment, None)
        self._texts.pop(BASE, None)

    def values(self, environment: str) -> dict[str, Any]:
        """Return the merged values without encrypted ones; raise ConfigError where a file is not right."""
        return self.merged(self.own(environment))

    def every(self) -> dict[str, dict[str, Any]]:
        """Return the merged values of all environments whose files can be read, by name."""
        readable = {}
        for name in self.names():
            # One that cannot be read is an error when that environment is used.
            with suppress(ConfigError):
                readable[name] = self.values(name)
        return readable

    def own(self, environment: str) -> dict[str, Any]:
        """Return what the stack file itself says, without encrypted values; raise ConfigError as `values`."""
        values = own(_config(self.text(environment), file_name(environment)))
        return {key: value for key, value in values.items() if not _is_secure(value)}

    def merged(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return an environment's own values on top of those that environments share; raise ConfigError as `values`."""
        text = self.base()
        if text is None:
            return dict(values)
        shared = _config(text, BASE)
        if broken := list(_unshared(shared)):
            raise positioned(self.base, BASE).error(broken)
        return overlay(own(shared), values)

    def source(self, environment: str) -> Source:
        """Return where an environment's values stand, for messages; without lines where there is no stack file."""
        name = file_name(environment)

        def text() -> str | None:
            return self.text(environment) if (self.root / name).is_file() else None

        return positioned(text, name, NAMESPACE, positioned(self.base, BASE, NAMESPACE))

    def path_problems(self, environment: str, origin: str | None) -> Iterator[Problem]:
        """Yield what is wrong with the environment that another one takes releases from."""
        names = self.names()
        others = [name for name in names if name != environment]
        allowed = f"another environment ({', '.join(others) or 'none exists'}), or null: releases enter here"
        if origin is None:
            unsaid = [name for name in names if not self._says_origin(name)]
            if environment in unsaid and len(unsaid) > 1:
                given = f"nothing, as for {', '.join(name for name in unsaid if name != environment)}"
                action = "write it in all but the first; `stellwerk migrate` does where files are of a version before"
                yield Problem((_ORIGIN,), given, allowed, action)
            return
        if origin not in others:
            action = suggest(origin, others, "name one of them, or remove the key")
            yield Problem((_ORIGIN,), show(origin), allowed, action)
            return
        chain = [environment]
        following: str | None = origin
        while following is not None:
            chain.append(following)
            if following in chain[:-1]:
                circle = " from ".join(chain)
                yield Problem((_ORIGIN,), f"a circle: {circle}", allowed, "remove the key where releases enter")
                return
            following = self._origin(following)

    def _says_origin(self, environment: str) -> bool:
        """Return whether an environment's files have the key; one that cannot be read is an error of its own."""
        try:
            return _ORIGIN in self.values(environment)
        except ConfigError:
            return True

    def _origin(self, environment: str) -> Any:
        """Return the environment that another one takes releases from; None where its file does not say so."""
        try:
            origin = self.values(environment).get(_ORIGIN)
        except ConfigError:
            return None
        return origin if isinstance(origin, str) else None


def _config(text: str, name: str) -> Any:
    given = tree(text, name)
    return given.get("config") if isinstance(given, Mapping) else None


def _unshared(shared: Any) -> Iterator[Problem]:
    """Yield each key that only a stack file may have; `shared` is what stands under `config:`."""
    for key in shared if isinstance(shared, Mapping) else ():
        if not key.startswith(_PREFIX):
            allowed = f"keys that begin with {_PREFIX}, because the engine reads others in stack files alone"
        elif key.removeprefix(_PREFIX) in _OWN:
            allowed = "what environments share"
        else:
            continue
        yield Problem(("config", key), f"the key {key}", allowed, "move it to the stack files")


def _is_secure(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {"secure"}
