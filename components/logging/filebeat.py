"""Filebeat's configuration: it writes the same documents as the project's own shipper, into the same indices."""

from typing import Any

from components.kit.names import (
    CONTAINER_FIELD,
    ENVIRONMENT_FIELD,
    ID_FIELD,
    LOG_INDEX,
    NAMESPACE_FIELD,
    NAMESPACE_PURPOSES,
    POD_FIELD,
    SHIPPING_FIELD,
)
from components.logging.log_shipper import POD_LOGS

# Where a line comes from is what the path of its file says, whatever the line does; the environment is its namespace's.
# Rotation changes neither the beginning of the path nor the offset: with the time they are the line's own.
_SCRIPT = rf"""
var file = /\/([^\/_]+)_([^\/_]+)_([^\/_]+)\/([^\/]+)\/(\d+)\.log/;
var space = /^([a-z][-a-z0-9]*)-(?:{"|".join(NAMESPACE_PURPOSES)})$/;
function process(event) {{
  event.Delete("kubernetes");
  event.Delete("{ENVIRONMENT_FIELD}");
  var from = file.exec(event.Get("log.file.path") || "");
  if (!from || event.Get("{SHIPPING_FIELD}") === "application") {{ event.Cancel(); return; }}
  event.Put("{NAMESPACE_FIELD}", from[1]);
  event.Put("{POD_FIELD}", from[2]);
  event.Put("{CONTAINER_FIELD}", from[4]);
  var own = event.Get("{ID_FIELD}");
  var given = typeof own === "string" && own.indexOf(from[3] + "/" + from[4] + "/") === 0;
  if (given) {{ event.Put("@metadata._id", own); }}
  event.Put("@metadata.line", [from[3], from[4], from[5], event.Get("log.offset")].join("/"));
  var place = space.exec(from[1]);
  if (place) {{ event.Put("{ENVIRONMENT_FIELD}", place[1]); }}
  event.Put("@metadata.place", place ? "-" + place[1] : "");
}}
"""


def filebeat_config(store: str, buffer: str) -> dict[str, Any]:
    """Return the configuration; lines of the pods of the Elasticsearch called `store` are left out.

    A line has the same id whenever it is read, so that the store refuses it the second time. `buffer` is the size of
    the queue on disk, with a binary unit: full, it stops the reading.
    """
    return {
        "filebeat.inputs": [_input(store)],
        "queue.disk": {"max_size": f"{buffer}B"},
        "setup.template.enabled": False,
        "setup.ilm.enabled": False,
        "logging.to_stderr": True,
        "output.elasticsearch": {"index": f"{LOG_INDEX}%{{[@metadata.place]}}-%{{+yyyy.MM.dd}}"},
        "processors": [
            {"script": {"lang": "javascript", "source": _SCRIPT}},
            {
                "fingerprint": {
                    "fields": ["@metadata.line", "@timestamp"],
                    "target_field": "@metadata._id",
                    # A program that ships its lines has given one to what it prints for the shipper.
                    "when": {"not": {"has_fields": ["@metadata._id"]}},
                }
            },
        ],
    }


def _input(store: str) -> dict[str, Any]:
    return {
        "type": "filestream",
        "id": "pods",
        "paths": [f"{POD_LOGS}/*/*/*.log", f"{POD_LOGS}/*/*/*.log.*"],
        # A rotated file is the same one under another name.
        "prospector.scanner": {
            "fingerprint.enabled": True,
            "exclude_files": [rf"/[^/]+_{store}-es-[^/]*/", r"\.gz$", r"\.tmp$"],
        },
        "file_identity.fingerprint": {},
        "parsers": [
            {"container": {"stream": "all", "format": "cri"}},
            {"ndjson": {"target": "", "overwrite_keys": True, "add_error_key": True, "ignore_decoding_error": True}},
        ],
    }
