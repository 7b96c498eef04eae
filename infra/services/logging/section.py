"""What an environment says about its logs."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from components.kit.names import LOG_ROLES
from infra.composition.service import Stack
from infra.contract.environment import Environment, SectionField
from infra.contract.fields import Count, Cpu, EnvironmentName, ImageReference, Memory, Name, Section
from infra.contract.fields import NodePort as NodePortNumber
from infra.contract.problems import Problem, proved, required, show

_MASTER = "master"


class LogMode(StrEnum):
    """Who runs the log store: this stack, this stack by ECK, or somebody else."""

    EMBEDDED = "embedded"
    ECK = "eck"
    EXTERNAL = "external"


class Shipping(StrEnum):
    """Who brings lines of training and serving to the store: the shipper of their node, or they themselves."""

    NODE = "node"
    APPLICATION = "application"


class NodeSet(Section):
    """Nodes of Elasticsearch that are alike."""

    name: Name
    count: int = Field(ge=1, le=100, description="number of nodes, 1 to 100")
    roles: tuple[str, ...] | None = Field(default=None, description="a list of roles, such as [master, data]")
    cpu: Cpu
    memory: Memory
    storage: Memory
    storage_class: Name | None = None


class StackImages(Section):
    """Images of Elastic's stack from elsewhere, such as a mirror; each of the stack's version."""

    elasticsearch: ImageReference | None = None
    kibana: ImageReference | None = None
    logstash: ImageReference | None = None
    filebeat: ImageReference | None = None


class Eck(Section):
    """Elastic's stack by ECK's operator, which the cluster has."""

    version: str = Field(pattern=r"^[89]\.[0-9]+\.[0-9]+$", description="a version of Elastic's stack: 9.1.4")
    node_sets: tuple[NodeSet, ...] = Field(min_length=1, description="a list of node sets, at least one")
    kibana: Count = 1
    logstash: Count = 0
    images: StackImages = StackImages()
    secure_settings: tuple[Name, ...] = Field(
        default=(), description="a list of names of Secrets whose keys go into Elasticsearch's key store"
    )


class Retention(Section):
    """For how long lines are kept."""

    days: int = Field(ge=1, le=3650, description="number of days, 1 to 3650")
    environments: dict[EnvironmentName, Annotated[int, Field(ge=1, le=3650)]] = Field(
        default={}, description="days by environment, where they differ, 1 to 3650"
    )
    image: ImageReference | None = None


class Kibana(Section):
    """Kibana of a store that runs elsewhere, which gets data view, searches and dashboard of the environment."""

    url: str = Field(
        pattern=r"^https://[^\s]+[^/\s]$", description="an https URL, with the space where it is not the default one"
    )
    image: ImageReference


class LoggingSection(Section):
    """The log store and the shipper on every node."""

    mode: Annotated[
        LogMode,
        Field(
            description="embedded (this stack runs it), eck (it does by ECK's operator) or external (it runs elsewhere)"
        ),
    ]
    node_port: NodePortNumber | None = None
    pod_logs_path: str | None = Field(
        default=None, pattern=r"^/", description="the absolute folder of pod logs on the nodes"
    )
    heap: str | None = Field(
        default=None, pattern=r"^[1-9][0-9]*[mg]$", description="the log store's Java heap: 512m or 2g"
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https://[^/\s]+$",
        description="an https URL without a path, of one that runs elsewhere",
    )
    data_stream: str | None = Field(
        default=None,
        pattern=r"^logs-[a-z0-9_.]+-[a-z0-9_.]+$",
        description="the data stream that takes the lines: logs-<dataset>-<namespace>",
    )
    shipping: Annotated[
        Shipping,
        Field(description="node (its shipper brings what training and serving log) or application (they do)"),
    ] = Shipping.NODE
    buffer: Memory = "1Gi"
    readers: dict[Name, tuple[EnvironmentName, ...]] = Field(
        default={}, description="the environments that further users may read, by user"
    )
    eck: Eck | None = None
    retention: Retention | None = None
    kibana: Kibana | None = None


SECTION: SectionField[LoggingSection] = SectionField("logging", LoggingSection)


def section(environment: Environment) -> LoggingSection:
    """Return the environment's values about logs."""
    return environment.section(SECTION)


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack runs the log store."""
    return section(environment).mode is not LogMode.EXTERNAL


def url(environment: Environment) -> str | None:
    """Return the URL of the log store for clients outside the cluster; None where the environment does not say it."""
    values = section(environment)
    if values.mode is LogMode.EMBEDDED:
        return f"https://{environment.cluster.address}:{proved(values.node_port)}"
    return values.url


def by_application(environment: Environment) -> bool:
    """Return whether training and serving ship their lines by themselves."""
    return section(environment).shipping is Shipping.APPLICATION


def ships(environment: Environment) -> bool:
    """Return whether shippers of this stack bring lines to a store that runs elsewhere."""
    values = section(environment)
    wanted = values.mode is LogMode.EXTERNAL and values.data_stream is not None
    return wanted and (values.pod_logs_path is not None or not by_application(environment))


def writes_elsewhere(environment: Environment) -> bool:
    """Return whether anything of this stack brings lines to a store that runs elsewhere."""
    values = section(environment)
    return values.mode is LogMode.EXTERNAL and (values.data_stream is not None or by_application(environment))


def rules(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong in the section."""
    values = section(stack.environment)
    match values.mode:
        case LogMode.EMBEDDED:
            yield from _embedded(stack.environment)
        case LogMode.ECK:
            yield from required(("logging", "eck"), values.eck, "Elastic's stack, because mode is eck")
            yield from _logs_path(values, "mode is eck")
            yield from _by_operator(values)
            yield from _masters(values)
            if values.retention:
                reason = "an image with Python 3.11 or newer, because mode is eck"
                yield from required(("logging", "retention", "image"), values.retention.image, reason)
        case LogMode.EXTERNAL if writes_elsewhere(stack.environment):
            reason = "dataStream is given" if values.data_stream else "shipping is application"
            yield from required(("logging", "url"), values.url, f"a URL, because {reason}")
            if values.shipping is Shipping.NODE:
                yield from _logs_path(values, reason)
    yield from _out_of_place(values)
    for name in sorted(set(values.readers) & {*LOG_ROLES}):
        yield Problem(
            ("logging", "readers", name), show(name), "a name that is not a user's already", "choose another name"
        )


def _embedded(environment: Environment) -> Iterator[Problem]:
    values = section(environment)
    yield from required(("logging", "nodePort"), values.node_port, "a node port, because mode is embedded")
    yield from required(("logging", "heap"), values.heap, "a heap such as 512m, because mode is embedded")
    yield from _logs_path(values, "mode is embedded")
    if environment.cluster.shared:
        yield Problem(
            ("logging", "mode"),
            '"embedded"',
            "external, because cluster.shared is true: the cluster's owner runs the log store",
            "set mode to external, or cluster.shared to false",
        )


def _logs_path(values: LoggingSection, reason: str) -> Iterator[Problem]:
    yield from required(("logging", "podLogsPath"), values.pod_logs_path, f"an absolute folder, because {reason}")


def _by_operator(values: LoggingSection) -> Iterator[Problem]:
    if values.shipping is Shipping.APPLICATION:
        yield Problem(
            ("logging", "shipping"),
            show("application"),
            "node, because mode is eck: the operator's authority is in a Secret that other namespaces do not see",
            "remove the key; Filebeat brings the lines",
        )


def _masters(values: LoggingSection) -> Iterator[Problem]:
    """Yield what the operator would refuse: no node that may be the master."""
    sets = values.eck.node_sets if values.eck else ()
    if sets and not any(each.roles is None or _MASTER in each.roles for each in sets):
        yield Problem(
            ("logging", "eck", "nodeSets"),
            show([list(each.roles or ()) for each in sets]),
            "a set whose roles name master, or a set without roles",
            "add master to the roles of a set with one or three nodes",
        )


def _out_of_place(values: LoggingSection) -> Iterator[Problem]:
    """Yield keys that nobody reads in this mode."""
    given = {
        "eck": (values.eck, LogMode.ECK),
        "dataStream": (values.data_stream, LogMode.EXTERNAL),
        "kibana": (values.kibana, LogMode.EXTERNAL),
    }
    for key, (value, mode) in given.items():
        if value is not None and values.mode is not mode:
            yield Problem(
                ("logging", key),
                "a value",
                f"nothing, because mode is {values.mode}, and {key} belongs to {mode}",
                f"remove it, or set mode to {mode}",
            )
    for key, owned in {"readers": values.readers, "retention": values.retention}.items():
        if owned and values.mode is LogMode.EXTERNAL:
            yield Problem(
                ("logging", key),
                "a value",
                "nothing, because mode is external: users and lines of that store are its owner's",
                "remove it",
            )


def bytes_of(size: str) -> int:
    """Return the number of bytes of a quantity with a binary unit."""
    number, unit = proved(re.fullmatch(r"(\d+)([KMGT])i", size)).groups()
    return int(number) * int(1024 ** ("KMGT".index(unit) + 1))
