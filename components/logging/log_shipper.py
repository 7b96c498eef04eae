"""The log shippers' configurations: OpenTelemetry Collectors that write container logs and events as ECS documents."""

from typing import Any

from components.kit import ports
from components.kit.names import LOG_INDEX, LOG_STORE, NAMESPACE_PURPOSES

SHIPPER = "log-shipper"
EVENT_SHIPPER = "event-shipper"

POD_LOGS = "/var/log/pods"
POSITIONS = "/var/lib/log-shipper"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# The environment of what a pod logs is its namespace's, whatever the line says. Namespaces of others have none.
_ENVIRONMENT = rf"^([a-z][-a-z0-9]*)-(?:{'|'.join(NAMESPACE_PURPOSES)})$"


def shipper_config(namespace: str) -> dict[str, Any]:
    """Return the configuration of the collector that ships container logs to the store in `namespace`.

    Lines are neither lost nor stored twice: reading goes on from positions on disk, what is read waits in a queue on
    disk, and a line sent again has the same document id, which Elasticsearch refuses.
    """
    receiver = {
        # A file that the kubelet has rotated may hold lines not read yet; it compresses the older ones.
        "include": [f"{POD_LOGS}/*/*/*.log", f"{POD_LOGS}/*/*/*.log.*"],
        "exclude": [
            f"{POD_LOGS}/*/*/*.gz",
            f"{POD_LOGS}/*/*/*.tmp",
            # What the store writes about a line would be the next line. The shipper's own log is bounded instead.
            f"{POD_LOGS}/{namespace}_{LOG_STORE}-*/*/*",
        ],
        "storage": "file_storage",
        "environment": _ENVIRONMENT,
    }
    return _config("podlogs", receiver, namespace)


def events_config(namespace: str) -> dict[str, Any]:
    """Return the configuration of the collector that ships the cluster's events to the store in `namespace`."""
    receiver = {
        "api": "https://kubernetes.default.svc.cluster.local",
        "ca_file": f"{_ACCOUNT}/ca.crt",
        "token_file": f"{_ACCOUNT}/token",
        "environment": _ENVIRONMENT,
    }
    return _config("events", receiver, namespace)


def _config(kind: str, receiver: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {
        "extensions": {
            "file_storage": {"directory": POSITIONS, "timeout": "10s", "recreate": True},
            # Sends what the store refuses once more, in a form it takes.
            "refused": {},
        },
        "receivers": {kind: receiver},
        "exporters": {"elasticsearch": _exporter(namespace)},
        "service": {
            "extensions": ["file_storage", "refused"],
            "pipelines": {"logs": {"receivers": [kind], "exporters": ["elasticsearch"]}},
        },
    }


def _exporter(namespace: str) -> dict[str, Any]:
    return {
        "endpoints": [f"https://{LOG_STORE}.{namespace}.svc.cluster.local:{ports.LOG_STORE}"],
        "user": "shipper",
        "password": "${file:/secret/password}",
        "tls": {"ca_file": "/secret/ca.crt", "min_version": "1.2"},
        "middlewares": [{"id": "refused"}],
        # That reads the requests.
        "compression": "none",
        "logs_index": LOG_INDEX,
        "logs_dynamic_id": {"enabled": True},
        # The deadline would count the retries.
        "timeout": "0s",
        "retry": {
            "enabled": True,
            # From 0.5 s on, doubling: a store that is away for a night costs no line. More retries overflow the wait.
            "initial_interval": "500ms",
            "max_interval": "30m",
            "max_retries": 35,
            "retry_on_status": [401, 403, 429, 500, 502, 503, 504],
        },
        "sending_queue": {
            "enabled": True,
            "storage": "file_storage",
            "sizer": "bytes",
            "queue_size": 128 * 1024 * 1024,
            # Full, it stops the reading: the files wait.
            "block_on_overflow": True,
            "num_consumers": 2,
            "batch": {"flush_timeout": "500ms", "min_size": 1_000_000, "max_size": 5_000_000, "sizer": "bytes"},
        },
    }
