"""The log store, and the shipper of logs on every node."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from components.kit import ports
from components.kit.names import LOG_STORE
from infra.composition.context import Composition, secret
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft, hashed, password
from infra.composition.handover import BuiltImages, Namespaces, PullSecrets
from infra.composition.service import Build, Certificate, NodePort, Service, Switch
from infra.contract.environment import PLATFORM, Environment, PlatformImage
from infra.contract.problems import ConfigError, proved
from infra.services.logging.section import (
    SECTION,
    LogMode,
    LogShipperLogin,
    LogStoreKeys,
    LogStoreLogin,
    LogStoreUser,
    LogStoreUsers,
    bytes_of,
    rules,
    section,
    ships,
)
from infra.targets.target import Folder
from infra.targets.variables import BUILD_CONTEXTS

if TYPE_CHECKING:
    import pulumi

    from components.logging.arguments import LogUserArgs

_SHIPPER = PlatformImage("log-shipper")
_SERVER = Folder(BUILD_CONTEXTS, "elasticsearch")
_STORAGE = "5Gi"
_KEY = "logStore"
_VARIABLES = {"username": "STELLWERK_LOG_STORE_USERNAME", "password": "STELLWERK_LOG_STORE_PASSWORD"}
_SHIPPERS_VARIABLES = {"username": "STELLWERK_LOG_SHIPPER_USERNAME", "password": "STELLWERK_LOG_SHIPPER_PASSWORD"}
_USERS = ("shipper", "reader", "keeper", "elastic")


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack runs the log store."""
    return section(environment).mode is not LogMode.EXTERNAL


def url(environment: Environment) -> str | None:
    """Return the URL of the log store for clients outside the cluster; None where the environment does not say it."""
    values = section(environment)
    if values.mode is LogMode.EMBEDDED:
        return f"https://{environment.cluster.address}:{proved(values.node_port)}"
    return values.url


def _embedded(environment: Environment) -> bool:
    return section(environment).mode is LogMode.EMBEDDED


def _ports(environment: Environment) -> Iterator[NodePort]:
    port = section(environment).node_port
    # Whether it is given is another rule's.
    if port is not None:
        yield NodePort(("logging", "nodePort"), port, "log store")


def _credentials(environment: Environment) -> Mapping[str, type[CredentialsPart]]:
    if runs(environment):
        return {_KEY: LogStoreKeys}
    if ships(environment):
        return {_KEY: LogShipperLogin}
    return {_KEY: LogStoreLogin} if url(environment) else {}


def _make_credentials(draft: Draft) -> None:
    if runs(draft.environment):
        for user in _USERS:
            draft.need(_KEY, "users", user, make=_user)
        for user in section(draft.environment).readers:
            draft.need(_KEY, "users", "readers", user, make=_user)
    elif (where := url(draft.environment)) is not None:
        for key, variable in _VARIABLES.items():
            draft.need(_KEY, key, make=partial(draft.given, variable, f"the log store {where}"))
        for key, variable in _SHIPPERS_VARIABLES.items() if ships(draft.environment) else ():
            draft.need(_KEY, "shipper", key, make=partial(draft.given, variable, f"what ships to {where}"))


def _user() -> dict[str, str]:
    made = password()
    return {"password": made, "hash": hashed(made)}


def _users(context: Composition) -> "dict[str, LogUserArgs]":
    """Return the users of the store by name; raise ConfigError where one that the values name was never made."""
    users: LogStoreUsers = context.credentials.get(LogStoreKeys).users
    known: dict[str, LogStoreUser] = {name: user for name in _USERS if (user := getattr(users, name)) is not None}
    logs = section(context.environment)
    known |= {name: user for name, user in users.readers.items() if name in logs.readers}
    if absent := sorted({*logs.readers, *(["keeper"] if logs.retention else [])} - set(known)):
        raise ConfigError(
            f"stellwerk:credentials: no {', '.join(absent)} among the log store's users, whom stellwerk:logging needs; "
            f"run `stellwerk init {context.environment.environment}`, which makes them"
        )
    return {name: {"password": secret(user.password), "hash": secret(user.hash)} for name, user in known.items()}


def _compose(context: Composition) -> None:
    match section(context.environment).mode:
        case LogMode.EMBEDDED:
            _compose_embedded(context)
        case LogMode.ECK:
            _compose_eck(context)
        case LogMode.EXTERNAL:
            _compose_shippers(context)


def _pod_logs(context: Composition) -> str:
    values = context.environment
    return context.target.pod_logs(values.cluster.context) or proved(section(values).pod_logs_path)


def _compose_embedded(context: Composition) -> None:
    import pulumi

    from components.logging.log_stack import LogStack

    values, logs = context.environment, section(context.environment)
    stack = LogStack(
        "logs",
        {
            "environment": values.scope,
            "namespace": context.get(Namespaces)[PLATFORM],
            "priority_class": context.get(Namespaces).priority(PLATFORM),
            "image": context.get(BuiltImages)["elasticsearch"],
            "shipper_image": values.image(_SHIPPER),
            "pull_secret": context.get(PullSecrets)[PLATFORM],
            "tls": context.tls,
            "trust_bundle": context.authority,
            "users": _users(context),
            "readers": logs.readers,
            "heap": proved(logs.heap),
            "storage": _STORAGE,
            "address": values.cluster.address,
            "node_port": proved(logs.node_port),
            "pod_logs_path": _pod_logs(context),
            "buffer": bytes_of(logs.buffer),
        },
        context.opts,
    )
    pulumi.export("logStore", stack.url)
    inside = f"https://{LOG_STORE}.{values.namespace(PLATFORM)}.svc:{ports.LOG_STORE}"
    images = context.get(BuiltImages)
    # Elasticsearch's own image has Python: no other needs to be built.
    _keep(context, inside, {"trust_bundle": context.authority, "image": images["elasticsearch"]}, [stack])


def _keep(
    context: Composition, store: "pulumi.Input[str]", more: Mapping[str, Any], after: "Sequence[pulumi.Resource]"
) -> None:
    """Declare what keeps the store in order, where the values say for how long lines are kept."""
    import pulumi

    from components.logging.log_keeper import LogKeeper

    logs, users = section(context.environment), _users(context)
    if logs.retention is None:
        return
    environments = {context.environment.scope: logs.retention.days, **logs.retention.environments}
    LogKeeper(
        "log-keeper",
        {
            "namespace": context.get(Namespaces)[PLATFORM],
            "pull_secret": context.get(PullSecrets)[PLATFORM],
            "store": store,
            "login": {"username": "keeper", "password": users["keeper"]["password"]},
            "days": logs.retention.days,
            "environments": environments,
            **more,  # type: ignore[typeddict-item]
        },
        pulumi.ResourceOptions.merge(context.opts, pulumi.ResourceOptions(depends_on=[*after])),
    )


def _compose_eck(context: Composition) -> None:
    import pulumi

    from components.logging.eck_stack import EckStack

    values, logs = context.environment, section(context.environment)
    eck = proved(logs.eck)
    users = _users(context)
    # Filebeat and Logstash have users of the operator's.
    for made in ("shipper", "elastic"):
        users.pop(made, None)
    stack = EckStack(
        "logs",
        {
            "environment": values.scope,
            "namespace": context.get(Namespaces)[PLATFORM],
            "version": eck.version,
            "images": eck.images.model_dump(),  # type: ignore[typeddict-item]
            "node_sets": [each.model_dump() for each in eck.node_sets],  # type: ignore[misc]
            "kibana": eck.kibana,
            "logstash": eck.logstash,
            "users": users,
            "readers": logs.readers,
            "secure_settings": eck.secure_settings,
            "pod_logs_path": _pod_logs(context),
            "buffer": logs.buffer,
        },
        context.opts,
    )
    pulumi.export("logStore", logs.url or stack.url)
    _keep(
        context,
        stack.url,
        {
            "image": proved(logs.retention.image) if logs.retention else "",
            "kibana": stack.kibana if eck.kibana else None,
            "authorities": stack.authorities,
        },
        [stack],
    )


def _compose_shippers(context: Composition) -> None:
    from components.logging.log_shippers import LogShippers

    values, logs = context.environment, section(context.environment)
    login = context.credentials.get(LogShipperLogin).shipper
    LogShippers(
        "logs-shipper",
        {
            "environment": values.scope,
            "url": proved(logs.url),
            "login": {"username": login.username, "password": secret(login.password)},
            "data_stream": proved(logs.data_stream),
            "trust_bundle": context.authority,
            "image": values.image(_SHIPPER),
            "pod_logs_path": _pod_logs(context),
            "buffer": bytes_of(logs.buffer),
        },
        context.opts,
    )


SERVICE = Service(
    "logging",
    section=SECTION,
    images=(_SHIPPER,),
    needs=(Namespaces, BuiltImages, PullSecrets),
    runs=lambda environment: runs(environment) or ships(environment),
    switch=Switch(("logging", "mode"), "embedded or eck", "external"),
    rules=rules,
    credentials=_credentials,
    make_credentials=_make_credentials,
    certificates=(Certificate(_KEY, (LOG_STORE,), needed=_embedded),),
    node_ports=_ports,
    folders=lambda environment: [_SERVER] if _embedded(environment) else [],
    builds=lambda *_: {
        "elasticsearch": Build(
            "components/logging/images/elasticsearch",
            contexts={"elasticsearch": lambda context: context.target.folder(_SERVER)},
        )
    },
    builds_in=_embedded,
    compose=_compose,
)
