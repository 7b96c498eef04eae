"""The template of the log index: which fields are found exactly, and what becomes of a line that does not fit."""

import json

from components.kit.names import (
    CONTAINER_FIELD,
    ENVIRONMENT_FIELD,
    LOG_INDEX,
    MODEL_FIELD,
    NAMESPACE_FIELD,
    POD_FIELD,
    RELEASE_FIELD,
    REQUEST_FIELD,
    RUN_FIELD,
    TIME_FIELD,
)

_EXACT = {"type": "keyword", "ignore_above": 8191}
_EXACT_FIELDS = (
    *(MODEL_FIELD, RELEASE_FIELD, RUN_FIELD, REQUEST_FIELD),
    *(ENVIRONMENT_FIELD, NAMESPACE_FIELD, POD_FIELD, CONTAINER_FIELD),
    *("log.level", "log.logger", "trace.id", "event.kind", "event.reason", "error.message", "tags"),
)
_TEMPLATE = {
    "index_patterns": [LOG_INDEX],
    # Above the templates that the full distribution brings for logs.
    "priority": 500,
    "template": {
        "settings": {
            "number_of_shards": 1,
            "number_of_replicas": 0,
            # Named, it holds for an index that nobody has searched for a while, too.
            "refresh_interval": "1s",
            # A line with a field too many, or of another type, is stored with the rest of its fields.
            "mapping.total_fields.ignore_dynamic_beyond_limit": True,
            "mapping.ignore_malformed": True,
        },
        "mappings": {
            # Names keep their dots: `error` as a text and `error.message` of another line live side by side.
            "subobjects": False,
            "date_detection": False,
            "dynamic_templates": [{"exact": {"match_mapping_type": "string", "mapping": _EXACT}}],
            # Those that are asked for have their type whatever comes first, and however many others come.
            "properties": {
                TIME_FIELD: {"type": "date"},
                "message": {"type": "text"},
                **{field: _EXACT for field in _EXACT_FIELDS},
            },
        },
    },
}


def state_file() -> str:
    """Return the reserved cluster state that Elasticsearch applies at its start: the template and nothing else."""
    state = {"index_templates": {"composable_index_templates": {LOG_INDEX: _TEMPLATE}}}
    return json.dumps(state, sort_keys=True)
