"""Arguments of LogStack."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.kit.access import KeyPairArgs


class LogUserArgs(TypedDict):
    """A user of the log store."""

    password: pulumi.Input[str]
    """Password, a secret output."""
    hash: pulumi.Input[str]
    """bcrypt hash of the password, a secret output."""


class LogStackArgs(TypedDict):
    """Arguments of LogStack."""

    environment: str
    """Name of the environment; the shipper's namespace is `<environment>-logging`."""
    namespace: pulumi.Input[str]
    """Namespace Elasticsearch runs in, under Pod Security "restricted"."""
    image: pulumi.Input[str]
    """Image of Elasticsearch (components/logging/images/elasticsearch) by digest."""
    shipper_image: pulumi.Input[str]
    """Image of the log shipper: an OpenTelemetry Collector as entry point, which any node can pull."""
    pull_secret: NotRequired[pulumi.Input[str] | None]
    """Name of the Secret with the registry login, in `namespace`. Absent where the nodes log in by themselves."""
    tls: KeyPairArgs
    """TLS certificate for `log-store.<namespace>.svc.cluster.local` and for `address`, and its key."""
    trust_bundle: pulumi.Input[str]
    """Certificates of the authorities that the shippers take the store's certificate from, PEM."""
    users: Mapping[str, LogUserArgs]
    """Users by name: `shipper` (needed), `reader`, `keeper`, `application` (of what ships its own lines), `elastic`
    (superuser), and those of `readers`."""
    readers: NotRequired[Mapping[str, Sequence[str]] | None]
    """Environments that further users may read, by user; absent, there are none."""
    heap: str
    """Java heap of Elasticsearch: a number with m or g, such as 512m."""
    storage: str
    """Size of Elasticsearch's volume, in bytes with a binary unit."""
    address: str
    """IP address or host name under which nodes answer."""
    node_port: int
    """Node port of Elasticsearch."""
    pod_logs_path: str
    """Folder with the pods' logs on every node; the shipper keeps its positions beside it, in `log-shipper`."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the priority class of store and shippers; none when absent."""
    buffer: NotRequired[int | None]
    """Size of the shippers' queue on each node's disk, in bytes; absent, 1 GiB. Full, it stops the reading."""
