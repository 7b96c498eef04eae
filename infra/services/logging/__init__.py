"""The log store, and the shipper of logs on every node."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.kit.names import LOG_STORE
from infra.composition.context import Composition, secret
from infra.composition.handover import BuiltImages, LogStoreAccess, Namespaces, PullSecrets
from infra.composition.kinds import ECK, KindNeed
from infra.composition.service import Build, Certificate, NodePort, Service, Switch
from infra.contract.environment import PLATFORM, Environment, PlatformImage
from infra.contract.problems import proved
from infra.services.logging.access import hand_over, inside
from infra.services.logging.capacity import asks, too_many_indices
from infra.services.logging.section import (
    SECTION,
    LogMode,
    bytes_of,
    rules,
    runs,
    section,
    ships,
    url,
)
from infra.services.logging.users import (
    KEY,
    KibanaLogin,
    LogShipperLogin,
    credentials,
    known_users,
    make_credentials,
)
from infra.targets.target import Folder
from infra.targets.variables import BUILD_CONTEXTS

if TYPE_CHECKING:
    import pulumi

__all__ = ["SERVICE", "runs", "url"]

_SHIPPER = PlatformImage("log-shipper")
_SERVER = Folder(BUILD_CONTEXTS, "elasticsearch")
_STORAGE = "5Gi"


def _embedded(environment: Environment) -> bool:
    return section(environment).mode is LogMode.EMBEDDED


def _ports(environment: Environment) -> Iterator[NodePort]:
    port = section(environment).node_port
    # Whether it is given is another rule's.
    if port is not None:
        yield NodePort(("logging", "nodePort"), port, "log store")


def _kinds(environment: Environment) -> Iterator[KindNeed]:
    mode = section(environment).mode
    if mode is LogMode.ECK:
        yield KindNeed(("logging", "mode"), mode, (ECK,))


def _compose(context: Composition) -> None:
    hand_over(context)
    match section(context.environment).mode:
        case LogMode.EMBEDDED:
            _compose_embedded(context)
        case LogMode.ECK:
            _compose_eck(context)
        case LogMode.EXTERNAL:
            if ships(context.environment):
                _compose_shippers(context)
            _bring_objects(context)


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
            "users": known_users(context),
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
    images = context.get(BuiltImages)
    # Elasticsearch's own image has Python: no other needs to be built.
    _keep(context, inside(values), {"trust_bundle": context.authority, "image": images["elasticsearch"]}, [stack])


def _keep(
    context: Composition, store: "pulumi.Input[str]", more: Mapping[str, Any], after: "Sequence[pulumi.Resource]"
) -> None:
    """Declare what keeps the store in order, where the values say for how long lines are kept."""
    import pulumi

    from components.logging.log_keeper import LogKeeper

    logs, users = section(context.environment), known_users(context)
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
    users = known_users(context)
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
            "priority_class": context.get(Namespaces).priority(PLATFORM),
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


def _bring_objects(context: Composition) -> None:
    """Declare what brings saved objects into somebody else's Kibana, where the values name it."""
    from components.logging.log_keeper import LogKeeper
    from components.logging.saved_objects import daily_indices

    values, logs = context.environment, section(context.environment)
    if logs.kibana is None:
        return
    login = context.credentials.get(KibanaLogin)
    LogKeeper(
        "log-keeper",
        {
            "namespace": context.get(Namespaces)[PLATFORM],
            "image": logs.kibana.image,
            "kibana": logs.kibana.url,
            "login": {"username": login.username, "password": secret(login.password)},
            "trust_bundle": context.authority,
            "views": {values.scope: logs.data_stream or daily_indices(values.scope)},
        },
        context.opts,
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
            "priority_class": context.get(Namespaces).priority(PLATFORM),
        },
        context.opts,
    )


SERVICE = Service(
    "logging",
    section=SECTION,
    images=(_SHIPPER,),
    needs=(Namespaces, BuiltImages, PullSecrets),
    gives=(LogStoreAccess,),
    runs=lambda environment: runs(environment) or ships(environment) or section(environment).kibana is not None,
    switch=Switch(("logging", "mode"), "embedded or eck", "external"),
    rules=rules,
    rules_beside=too_many_indices,
    kinds=_kinds,
    asks=asks,
    credentials=credentials,
    make_credentials=make_credentials,
    certificates=(Certificate(KEY, (LOG_STORE,), needed=_embedded),),
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
    connect=hand_over,
)
