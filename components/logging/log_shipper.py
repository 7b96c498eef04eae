"""The log shippers' configurations: OpenTelemetry Collectors that write container logs and events as ECS documents."""

from dataclasses import dataclass
from typing import Any

from components.kit import ports
from components.kit.names import LOG_INDEX, LOG_STORE, NAMESPACE_PURPOSES

SHIPPER = "log-shipper"
EVENT_SHIPPER = "event-shipper"
SHIPPER_USER = "shipper"

POD_LOGS = "/var/log/pods"
POSITIONS = "/var/lib/log-shipper"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# The environment of what a pod logs is its namespace's, whatever the line says. Namespaces of others have none.
_ENVIRONMENT = rf"^([a-z][-a-z0-9]*)-(?:{'|'.join(NAMESPACE_PURPOSES)})$"


# Ten minutes of 1.7 MB per second.
BUFFER_BYTES = 1024**3


@dataclass(frozen=True)
class LogTarget:
    """The store that shippers bring lines to."""

    endpoint: str
    """URL of Elasticsearch."""
    username: str
    """User that may create documents."""
    namespace: str | None = None
    """Namespace whose pods `log-store-…` are the store; None: it runs elsewhere."""
    data_stream: str | None = None
    """Data stream that takes all lines; None: an index per environment and day."""
    buffer_bytes: int = BUFFER_BYTES
    """Size of the queue on disk: full, it stops the reading."""


def embedded_target(namespace: str, buffer: int | None = None) -> LogTarget:
    """Return the store that LogStack runs in `namespace`; `buffer` is the size of the queue on disk, in bytes."""
    endpoint = f"https://{LOG_STORE}.{namespace}.svc.cluster.local:{ports.LOG_STORE}"
    return LogTarget(endpoint=endpoint, username=SHIPPER_USER, namespace=namespace, buffer_bytes=buffer or BUFFER_BYTES)


def shipper_config(target: LogTarget) -> dict[str, Any]:
    """Return the configuration of the collector that ships container logs to the store.

    Lines are neither lost nor stored twice: reading goes on from positions on disk, what is read waits in a queue on
    disk, and a line sent again has the same document id in the same index, which Elasticsearch refuses. A data stream
    refuses it in the backing index that it writes to.
    """
    # What the store writes about a line would be the next line. The shipper's own log is bounded instead.
    own = [f"{POD_LOGS}/{target.namespace}_{LOG_STORE}-*/*/*"] if target.namespace else []
    receiver = {
        # A file that the kubelet has rotated may hold lines not read yet; it compresses the older ones.
        "include": [f"{POD_LOGS}/*/*/*.log", f"{POD_LOGS}/*/*/*.log.*"],
        "exclude": [f"{POD_LOGS}/*/*/*.gz", f"{POD_LOGS}/*/*/*.tmp", *own],
        "storage": "file_storage",
    }
    return _config("podlogs", receiver, target)


def events_config(target: LogTarget) -> dict[str, Any]:
    """Return the configuration of the collector that ships the cluster's events to the store."""
    receiver = {
        "api": "https://kubernetes.default.svc.cluster.local",
        "ca_file": f"{_ACCOUNT}/ca.crt",
        "token_file": f"{_ACCOUNT}/token",
    }
    return _config("events", receiver, target)


def _config(kind: str, receiver: dict[str, Any], target: LogTarget) -> dict[str, Any]:
    index = {} if target.data_stream else {"index": LOG_INDEX}
    return {
        "extensions": {
            "file_storage": {"directory": POSITIONS, "timeout": "10s", "recreate": True},
            # Waits for a store that is away, and sends what it refuses once more, in a form it takes.
            "refused": {},
        },
        "receivers": {kind: {**receiver, **index, "environment": _ENVIRONMENT}},
        "exporters": {"elasticsearch": _exporter(target)},
        "service": {
            "extensions": ["file_storage", "refused"],
            "pipelines": {"logs": {"receivers": [kind], "exporters": ["elasticsearch"]}},
        },
    }


def _exporter(target: LogTarget) -> dict[str, Any]:
    return {
        "endpoints": [target.endpoint],
        "user": target.username,
        "password": "${file:/secret/password}",
        "tls": {"ca_file": "/secret/ca.crt", "min_version": "1.2"},
        "middlewares": [{"id": "refused"}],
        # That reads the requests.
        "compression": "none",
        # Given one, the exporter does not look at the index that each record names.
        **({"logs_index": target.data_stream} if target.data_stream else {}),
        "logs_dynamic_id": {"enabled": True},
        # The deadline would count the retries.
        "timeout": "0s",
        "retry": {
            "enabled": True,
            # Of what `refused` does not wait for. From 0.5 s on, doubling; more retries overflow the wait.
            "initial_interval": "500ms",
            "max_interval": "30m",
            "max_retries": 35,
            "retry_on_status": [401, 403, 429, 500, 502, 503, 504],
        },
        "sending_queue": {
            "enabled": True,
            "storage": "file_storage",
            "sizer": "bytes",
            "queue_size": target.buffer_bytes,
            # Full, it stops the reading: the files wait.
            "block_on_overflow": True,
            "num_consumers": 2,
            "batch": {"flush_timeout": "500ms", "min_size": 1_000_000, "max_size": 5_000_000, "sizer": "bytes"},
        },
    }
