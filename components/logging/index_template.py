"""The template of the log index: which fields are found exactly, and what becomes of a line that does not fit."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
# What is equal in all indices, once for the mapping and once for the settings: templates are composed of them.
_SETTINGS = {
    "number_of_shards": 1,
    # Named, it holds for an index that nobody has searched for a while, too.
    "refresh_interval": "1s",
    # A line with a field too many, or of another type, is stored with the rest of its fields.
    "mapping.total_fields.ignore_dynamic_beyond_limit": True,
    "mapping.ignore_malformed": True,
}
_MAPPINGS = {
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
}
_ECS, _LINES = "stellwerk-ecs", "stellwerk-lines"
_COMPONENTS = {
    _ECS: {"template": {"mappings": _MAPPINGS}},
    _LINES: {"template": {"settings": _SETTINGS}},
}
# Above the templates that the full distribution brings for logs.
_PRIORITY = 500


def _template(patterns: Sequence[str], settings: Mapping[str, Any], priority: int = _PRIORITY) -> dict[str, Any]:
    return {
        "index_patterns": list(patterns),
        "priority": priority,
        "composed_of": [_ECS, _LINES],
        "template": {"settings": dict(settings)},
    }


def state_file() -> str:
    """Return the reserved cluster state that Elasticsearch applies at its start: the templates and nothing else."""
    # One node: a replica would have no place.
    template = _template([LOG_INDEX, f"{LOG_INDEX}-*"], {"number_of_replicas": 0})
    templates = {"component_templates": _COMPONENTS, "composable_index_templates": {LOG_INDEX: template}}
    return json.dumps({"index_templates": templates}, sort_keys=True)


def template_requests(environments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the bodies by path that set the templates through the API, each with the policy of its environment."""
    requests: dict[str, dict[str, Any]] = {f"/_component_template/{name}": body for name, body in _COMPONENTS.items()}
    policy = "index.lifecycle.name"
    requests[f"/_index_template/{LOG_INDEX}"] = _template([f"{LOG_INDEX}-*"], {policy: LOG_INDEX})
    for environment in environments:
        title = f"{LOG_INDEX}-{environment}"
        requests[f"/_index_template/{title}"] = _template([f"{title}-*"], {policy: title}, _PRIORITY + len(title))
    return requests
