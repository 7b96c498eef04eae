"""The log shipper's configuration: an OpenTelemetry Collector that reads container logs and writes ECS documents."""

from typing import Any

from components.names import CONTAINER_FIELD, LOG_INDEX, LOG_STORE, NAMESPACE_FIELD, POD_FIELD, TIME_FIELD

SHIPPER = "log-shipper"
STORE_PORT = 9200
POD_LOGS = "/var/log/pods"
POSITIONS = "/var/lib/log-shipper"


def shipper_config(namespace: str, own_namespace: str) -> dict[str, Any]:
    """Configuration of the collector that ships to the store in `namespace`, itself running in `own_namespace`.

    Lines are neither lost nor stored twice: reading goes on from positions on disk, what is read waits in a queue on
    disk, and a line sent again has the same document id, which Elasticsearch refuses.
    """
    return {
        "extensions": {"file_storage": {"directory": POSITIONS, "timeout": "10s", "recreate": True}},
        "receivers": {"filelog": _receiver(namespace, own_namespace)},
        "exporters": {"elasticsearch": _exporter(namespace)},
        "service": {
            "extensions": ["file_storage"],
            "pipelines": {"logs": {"receivers": ["filelog"], "exporters": ["elasticsearch"]}},
        },
    }


def _receiver(namespace: str, own_namespace: str) -> dict[str, Any]:
    return {
        # A file that the kubelet has rotated may hold lines not read yet; it compresses the older ones.
        "include": [f"{POD_LOGS}/*/*/*.log", f"{POD_LOGS}/*/*/*.log.*"],
        "exclude": [
            f"{POD_LOGS}/*/*/*.gz",
            f"{POD_LOGS}/*/*/*.tmp",
            # What these two write about a line would be the next line.
            f"{POD_LOGS}/{own_namespace}_*/*/*",
            f"{POD_LOGS}/{namespace}_{LOG_STORE}-*/*/*",
        ],
        "start_at": "beginning",
        "include_file_name": False,
        "include_file_path": True,
        "include_file_record_offset": True,
        "storage": "file_storage",
        "retry_on_failure": {"enabled": True, "max_interval": "5s", "max_elapsed_time": "0s"},
        "operators": _operators(),
    }


def _operators() -> list[dict[str, Any]]:
    # Not the `container` operator: it holds lines in memory that the positions on disk have passed already.
    ecs = r'body matches "^\\{\"@timestamp\":\\s*\"\\d{4}-"'
    parts = ("uid", "container", "restart", "time", "log.file.record_offset")
    identity = ' + "/" + '.join(f'string(attributes["{part}"])' for part in parts)
    path = r"/(?P<namespace>[^/_]+)_(?P<pod>[^/_]+)_(?P<uid>[^/_]+)/(?P<container>[^/]+)/(?P<restart>\d+)\.log"
    return [
        {
            "type": "regex_parser",
            "regex": r"^(?P<time>\S+) (?:stdout|stderr) (?P<tag>\S+) ?(?P<line>.*)",
            # What a node's crash leaves in a file would become the beginning of the next line.
            "on_error": "drop",
        },
        {"type": "move", "from": "attributes.line", "to": "body"},
        {
            "type": "recombine",
            "combine_field": "body",
            "combine_with": "",
            "is_last_entry": 'attributes.tag matches "^F"',
            "max_batch_size": 0,
            "max_unmatched_batch_size": 0,
            "max_log_size": "1MiB",
        },
        {"type": "regex_parser", "parse_from": 'attributes["log.file.path"]', "regex": path},
        {"type": "add", "field": 'attributes["elasticsearch.document_id"]', "value": f"EXPR({identity})"},
        # Other JSON stays one text: fields of unknown meaning would clash with each other's types.
        {"type": "json_parser", "if": ecs, "parse_to": "body", "parse_ints": True, "on_error": "send_quiet"},
        {
            "type": "add",
            "if": 'type(body) == "string"',
            "field": "body",
            "value": f'EXPR({{"{TIME_FIELD}": attributes.time, "message": body}})',
        },
        {
            "type": "add",
            "field": "body",
            "value": f'EXPR({{"{NAMESPACE_FIELD}": attributes.namespace, "{POD_FIELD}": attributes.pod, '
            f'"{CONTAINER_FIELD}": attributes.container}})',
        },
    ]


def _exporter(namespace: str) -> dict[str, Any]:
    return {
        "endpoints": [f"https://{LOG_STORE}.{namespace}.svc.cluster.local:{STORE_PORT}"],
        "user": "shipper",
        "password": "${file:/secret/password}",
        "tls": {"ca_file": "/secret/ca.crt", "min_version": "1.2"},
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
