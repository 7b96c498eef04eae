"""Who logs in at the log store: users that this stack makes, or logins of a store that runs elsewhere."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr

from infra.composition.context import Composition, secret
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft, hashed, password
from infra.contract.environment import Environment
from infra.contract.problems import ConfigError
from infra.services.logging.section import by_application, runs, section, url, writes_elsewhere

if TYPE_CHECKING:
    from components.logging.arguments import LogUserArgs

KEY, KIBANA = "logStore", "kibana"
APPLICATION = "application"
_VARIABLES = {"username": "STELLWERK_LOG_STORE_USERNAME", "password": "STELLWERK_LOG_STORE_PASSWORD"}
_SHIPPERS_VARIABLES = {"username": "STELLWERK_LOG_SHIPPER_USERNAME", "password": "STELLWERK_LOG_SHIPPER_PASSWORD"}
_KIBANA_VARIABLES = {"username": "STELLWERK_KIBANA_USERNAME", "password": "STELLWERK_KIBANA_PASSWORD"}
_USERS = ("shipper", "reader", "keeper", "elastic")


class LogStoreUser(CredentialsPart):
    """A user of the log store: its password and the bcrypt hash of it."""

    password: SecretStr
    hash: SecretStr


class LogStoreUsers(CredentialsPart):
    """The users of the log store: what ships, what reads, and the administrator; further readers by name."""

    shipper: LogStoreUser
    reader: LogStoreUser
    elastic: LogStoreUser | None = None
    keeper: LogStoreUser | None = None
    application: LogStoreUser | None = None
    readers: dict[str, LogStoreUser] = Field(default={})


class LogStoreLogin(CredentialsPart):
    """The login that reads a log store which runs elsewhere."""

    username: str
    password: SecretStr


class LogShipperLogin(LogStoreLogin):
    """The logins of a log store that runs elsewhere: the one that reads, and the one that creates documents."""

    shipper: LogStoreLogin


class KibanaLogin(CredentialsPart):
    """The login that brings saved objects into somebody else's Kibana."""

    username: str
    password: SecretStr


class LogStoreKeys(CredentialsPart):
    """The log store's users by name."""

    users: LogStoreUsers


def credentials(environment: Environment) -> Mapping[str, type[CredentialsPart]]:
    """Return the types of the parts of the credentials by their key."""
    if runs(environment):
        return {KEY: LogStoreKeys}
    parts: dict[str, type[CredentialsPart]] = {}
    if url(environment):
        parts[KEY] = LogShipperLogin if writes_elsewhere(environment) else LogStoreLogin
    if section(environment).kibana:
        parts[KIBANA] = KibanaLogin
    return parts


def make_credentials(draft: Draft) -> None:
    """Make the users, or ask for the logins."""
    if runs(draft.environment):
        for user in _wanted(draft.environment):
            draft.need(KEY, "users", user, make=_user)
        for user in section(draft.environment).readers:
            draft.need(KEY, "users", "readers", user, make=_user)
    elif (where := url(draft.environment)) is not None:
        for key, variable in _VARIABLES.items():
            draft.need(KEY, key, make=partial(draft.given, variable, f"the log store {where}"))
        for key, variable in _SHIPPERS_VARIABLES.items() if writes_elsewhere(draft.environment) else ():
            draft.need(KEY, "shipper", key, make=partial(draft.given, variable, f"what ships to {where}"))
    if (kibana := section(draft.environment).kibana) is not None:
        for key, variable in _KIBANA_VARIABLES.items():
            draft.need(KIBANA, key, make=partial(draft.given, variable, f"Kibana at {kibana.url}"))


def _wanted(environment: Environment) -> tuple[str, ...]:
    return (*_USERS, APPLICATION) if by_application(environment) else _USERS


def _user() -> dict[str, str]:
    made = password()
    return {"password": made, "hash": hashed(made)}


def known_users(context: Composition) -> "dict[str, LogUserArgs]":
    """Return the users of the store by name; raise ConfigError where one that the values name was never made."""
    users: LogStoreUsers = context.credentials.get(LogStoreKeys).users
    known: dict[str, LogStoreUser] = {
        name: user for name in _wanted(context.environment) if (user := getattr(users, name)) is not None
    }
    logs = section(context.environment)
    known |= {name: user for name, user in users.readers.items() if name in logs.readers}
    needed = {*logs.readers, *(["keeper"] if logs.retention else [])}
    needed |= {APPLICATION} if by_application(context.environment) else set()
    if absent := sorted(needed - set(known)):
        raise ConfigError(
            f"stellwerk:credentials: no {', '.join(absent)} among the log store's users, whom stellwerk:logging needs; "
            f"run `stellwerk init {context.environment.environment}`, which makes them"
        )
    return {name: {"password": secret(user.password), "hash": secret(user.hash)} for name, user in known.items()}
