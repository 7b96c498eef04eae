"""Arguments of EckStack."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.logging.arguments import LogUserArgs


class LogNodeSetArgs(TypedDict):
    """Nodes of Elasticsearch that are alike."""

    name: str
    """Name of the set."""
    count: int
    """Number of nodes."""
    roles: NotRequired[Sequence[str] | None]
    """Roles of the nodes, such as master and data; absent, all."""
    cpu: str
    """CPU cores that each node requests; it may use twice as many."""
    memory: str
    """Memory of each node with a binary unit; Elasticsearch takes half of it as its heap."""
    storage: str
    """Size of each node's volume, with a binary unit."""
    storage_class: NotRequired[str | None]
    """Storage class of the volumes; absent, the cluster's default."""


class LogImagesArgs(TypedDict):
    """Images that are not the maker's; each has to be of the stack's version."""

    elasticsearch: NotRequired[str | None]
    """Image of Elasticsearch."""
    kibana: NotRequired[str | None]
    """Image of Kibana."""
    logstash: NotRequired[str | None]
    """Image of Logstash."""
    filebeat: NotRequired[str | None]
    """Image of Filebeat."""


class EckStackArgs(TypedDict):
    """Arguments of EckStack."""

    environment: str
    """Name of the environment; Filebeat's namespace is `<environment>-logging`."""
    namespace: pulumi.Input[str]
    """Namespace of Elasticsearch, Kibana and Logstash, under Pod Security "restricted"."""
    version: str
    """Version of Elastic's stack, such as 9.1.4."""
    images: LogImagesArgs
    """Images from elsewhere."""
    node_sets: Sequence[LogNodeSetArgs]
    """Nodes of Elasticsearch, at least one set."""
    kibana: int
    """Number of Kibana's pods; 0 for none."""
    logstash: int
    """Number of Logstash's pods, which take syslog; 0 for none."""
    users: Mapping[str, LogUserArgs]
    """Users by name: `reader`, `keeper`, and those of `readers`."""
    readers: Mapping[str, Sequence[str]]
    """Environments that further users may read, by user."""
    secure_settings: Sequence[str]
    """Names of Secrets in `namespace` whose keys go into Elasticsearch's key store; they are made by others."""
    pod_logs_path: str
    """Folder with the pods' logs on every node."""
    buffer: str
    """Size of Filebeat's queue on each node's disk, with a binary unit."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the priority class of all pods; none when absent."""
