"""Kibana's data view, searches and dashboard of an environment, as its saved objects: a line of JSON each."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.kit.names import (
    ENVIRONMENT_FIELD,
    LOG_INDEX,
    MODEL_FIELD,
    POD_FIELD,
    RELEASE_FIELD,
    REQUEST_FIELD,
    TIME_FIELD,
)

_SOURCE = "kibanaSavedObjectMeta.searchSourceJSON.index"
_PANEL_WIDTH, _PANEL_HEIGHT = 48, 15


def daily_indices(environment: str) -> str:
    """Return the pattern of an environment's daily indices, as Kibana takes it."""
    return f"{LOG_INDEX}-{environment}-*"


def saved_objects(views: Mapping[str, str]) -> str:
    """Return saved objects as NDJSON, by environment the pattern of what has its lines; their ids stay.

    What has lines of others as well is searched for the environment's own.
    """
    each = [one for environment, pattern in sorted(views.items()) for one in _of(environment, pattern)]
    return "".join(json.dumps(one, sort_keys=True) + "\n" for one in each)


def _of(environment: str, pattern: str) -> list[dict[str, Any]]:
    prefix = f"stellwerk-{environment}"
    own = "" if pattern == daily_indices(environment) else f'{ENVIRONMENT_FIELD}: "{environment}" and '
    view = {
        "type": "index-pattern",
        "id": prefix,
        "attributes": {
            "title": pattern,
            "name": f"Logs of {environment}",
            "timeFieldName": TIME_FIELD,
        },
        "references": [],
    }
    columns = [MODEL_FIELD, RELEASE_FIELD, "log.level", "message"]
    searches = [
        _search(prefix, "errors", f"Errors of {environment}", f'{own}log.level: ("error" or "critical")', columns),
        _search(
            prefix, "requests", f"Predictions of {environment}", f"{own}{REQUEST_FIELD}: *", [REQUEST_FIELD, *columns]
        ),
        _search(
            prefix,
            "events",
            f"Events of {environment}",
            f"{own}event.kind: event",
            [POD_FIELD, "event.reason", "message"],
        ),
        _search(
            prefix,
            "refused",
            f"Refused lines of {environment}",
            f"{own}tags: log_refused",
            ["error.message", POD_FIELD],
        ),
    ]
    return [view, *searches, _dashboard(prefix, environment, searches)]


def _search(prefix: str, name: str, title: str, query: str, columns: Sequence[str]) -> dict[str, Any]:
    source = {"query": {"query": query, "language": "kuery"}, "filter": [], "indexRefName": _SOURCE}
    return {
        "type": "search",
        "id": f"{prefix}-{name}",
        "attributes": {
            "title": title,
            "description": query,
            "columns": list(columns),
            "sort": [[TIME_FIELD, "desc"]],
            "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source, sort_keys=True)},
        },
        "references": [{"type": "index-pattern", "id": prefix, "name": _SOURCE}],
    }


def _dashboard(prefix: str, environment: str, searches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    panels, references = [], []
    for index, search in enumerate(searches):
        place = {"x": 0, "y": index * _PANEL_HEIGHT, "w": _PANEL_WIDTH, "h": _PANEL_HEIGHT, "i": search["id"]}
        panels.append({
            "type": "search", "gridData": place, "panelIndex": search["id"], "embeddableConfig": {},
            "panelRefName": f"panel_{search['id']}",
        })  # fmt: skip
        # Kibana finds a panel's object by the panel's index and the name that it gives.
        references.append({"type": "search", "id": search["id"], "name": f"{search['id']}:panel_{search['id']}"})
    source = {"query": {"query": "", "language": "kuery"}, "filter": []}
    return {
        "type": "dashboard",
        "id": f"{prefix}-overview",
        "attributes": {
            "title": f"Overview of {environment}",
            "description": "Errors, predictions, events and refused lines",
            "panelsJSON": json.dumps(panels, sort_keys=True),
            "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}, sort_keys=True),
            "timeRestore": True,
            "timeFrom": "now-24h",
            "timeTo": "now",
            "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source, sort_keys=True)},
        },
        "references": references,
    }
