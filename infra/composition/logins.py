"""Logins of kinds that several services have: their types, and how `stellwerk init` makes and takes them."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from infra.composition.context import secret
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft, hashed, password

if TYPE_CHECKING:
    import pulumi

    from components.kit.access import StaticKeysArgs


class S3Keys(CredentialsPart):
    """An S3 login."""

    access_key: SecretStr
    secret_key: SecretStr

    def args(self) -> "StaticKeysArgs":
        """Return the login as components take it."""
        return {"access_key": secret(self.access_key), "secret_key": secret(self.secret_key)}


class PageLogin(CredentialsPart):
    """The login of a page for people."""

    password: SecretStr
    hash: SecretStr

    def htpasswd(self, user: str) -> "pulumi.Output[str]":
        """Return the line by which a proxy knows the login of `user`."""
        return secret(self.hash).apply(lambda known: f"{user}:{known}\n")


def make_page_login() -> dict[str, str]:
    """Return a new login with a random password."""
    made = password()
    return {"password": made, "hash": hashed(made)}


def take_login(draft: Draft, path: tuple[str, ...], variables: Mapping[str, str], of: str) -> None:
    """Set each key below `path` to what its variable says; raise ConfigError where one is not set."""
    for key, variable in variables.items():
        draft.need(*path, key, make=partial(draft.given, variable, of))
