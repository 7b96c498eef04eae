"""How training and serving reach the log store, where they ship their lines by themselves."""

from typing import TYPE_CHECKING

from components.kit import ports
from components.kit.names import LOG_INDEX, LOG_STORE
from infra.composition.context import Composition, secret
from infra.composition.handover import LogStoreAccess
from infra.contract.environment import PLATFORM, Environment
from infra.contract.problems import proved
from infra.services.logging.section import LogMode, by_application, section
from infra.services.logging.users import APPLICATION, LogShipperLogin, known_users

if TYPE_CHECKING:
    from components.kit.access import LogStoreAccessArgs


def inside(environment: Environment) -> str:
    """Return the URL of the log store that this stack runs, for pods."""
    return f"https://{LOG_STORE}.{environment.namespace(PLATFORM)}.svc:{ports.LOG_STORE}"


def hand_over(context: Composition) -> None:
    """Give how pods ship their own lines."""
    context.give(LogStoreAccess(_access(context) if by_application(context.environment) else None))


def _access(context: Composition) -> "LogStoreAccessArgs":
    values, logs = context.environment, section(context.environment)
    daily = f"{LOG_INDEX}-{values.scope}"
    if logs.mode is LogMode.EMBEDDED:
        password = known_users(context)[APPLICATION]["password"]
        return {
            "url": inside(values),
            "login": {"username": APPLICATION, "password": password},
            "trust_bundle": context.authority,
            "environment": values.scope,
            "index": daily,
        }
    login = context.credentials.get(LogShipperLogin).shipper
    return {
        "url": proved(logs.url),
        "login": {"username": login.username, "password": secret(login.password)},
        "trust_bundle": context.authority,
        "environment": values.scope,
        "index": None if logs.data_stream else daily,
        "data_stream": logs.data_stream,
    }
