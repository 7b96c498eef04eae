"""Logins of S3 stores, which several services have: their type, and how `stellwerk init` takes those of others."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from infra.composition.context import secret
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft

if TYPE_CHECKING:
    from components.kit.access import StaticKeysArgs


class S3Keys(CredentialsPart):
    """An S3 login."""

    access_key: SecretStr
    secret_key: SecretStr

    def args(self) -> "StaticKeysArgs":
        """Return the login as components take it."""
        return {"access_key": secret(self.access_key), "secret_key": secret(self.secret_key)}


def take_login(draft: Draft, path: tuple[str, ...], variables: Mapping[str, str], of: str) -> None:
    """Set each key below `path` to what its variable says; raise ConfigError where one is not set."""
    for key, variable in variables.items():
        draft.need(*path, key, make=partial(draft.given, variable, of))
