"""Credentials while `stellwerk init` completes them: what is absent is made, what is there stays."""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.contract.environment import Environment
from infra.contract.problems import ConfigError

# The passwords are random and long: more rounds would only slow each request down.
_ROUNDS = 5


@dataclass(frozen=True)
class Neighbours:
    """The environments of this project by name, their values, and the credentials that one of them has already.

    `complete` adds to these what is absent, and returns them.
    """

    names: tuple[str, ...]
    environments: Callable[[], Mapping[str, Environment]]
    credentials: Callable[[str], Mapping[str, Any]]
    complete: Callable[[str], Mapping[str, Any]]


@dataclass
class Draft:
    """The credentials of one environment, filled in where something is absent."""

    environment: Environment
    values: dict[str, Any]
    neighbours: Neighbours
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    changed: bool = False

    @property
    def name(self) -> str:
        """Return the environment's name."""
        return self.environment.environment

    def need(self, *path: str, make: Callable[[], Any]) -> None:
        """Set the value at `path` to what `make()` returns, unless it is there."""
        node = self.values
        for step in path[:-1]:
            node = node.setdefault(step, {})
        if path[-1] not in node:
            node[path[-1]] = make()
            self.changed = True

    def given(self, variable: str, of: str) -> str:
        """Return what a variable says; raise ConfigError where it is not set. `of` is whose login it is."""
        value = self.variables.get(variable)
        if not value:
            raise ConfigError(f"{variable} is not set; it is the login of {of}, which this stack does not run")
        return value


def password() -> str:
    """Return a random password."""
    return secrets.token_urlsafe(32)


def access_key() -> str:
    """Return a random S3 access key."""
    return secrets.token_hex(10)


def hashed(text: str) -> str:
    """Return the bcrypt hash of a password."""
    # Only who makes credentials needs it.
    import bcrypt

    return bcrypt.hashpw(text.encode(), bcrypt.gensalt(_ROUNDS)).decode()
