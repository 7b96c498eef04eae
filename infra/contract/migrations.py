"""Migrations: what brings a team's older document to the form that this version reads.

A chain holds pure functions on plain values (dict, list, scalars), oldest first. Each is applied to every document and
leaves one alone that has the newer form already. Releases and evidence are immutable: what was written once stays
readable by optional fields, and has no chain.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Migration:
    """One step: `reason` says to people what changes and why."""

    reason: str
    apply: Callable[[Mapping[str, Any]], dict[str, Any]]


def migrate(document: Mapping[str, Any], chain: Sequence[Migration]) -> tuple[dict[str, Any], list[str]]:
    """Return the document in today's form, and the reasons of the steps that changed it."""
    current, reasons = dict(document), []
    for migration in chain:
        changed = migration.apply(current)
        if changed != current:
            reasons.append(migration.reason)
        current = changed
    return current, reasons


def _without_null_canary(document: Mapping[str, Any]) -> dict[str, Any]:
    """Remove `canary: null` of every served model of a stack file; another value is left to be refused."""
    key = "stellwerk:models"
    config = document.get("config")
    models = config.get(key) if isinstance(config, Mapping) else None
    if not isinstance(config, Mapping) or not isinstance(models, Mapping):
        return dict(document)
    kept = {
        name: {item: value for item, value in model.items() if (item, value) != ("canary", None)}
        if isinstance(model, Mapping)
        else model
        for name, model in models.items()
    }
    return {**document, "config": {**config, key: kept}}


# The names that environments had, in the order of promotion, while there were three and their files said everything.
_THREE = ("dev", "test", "prod")
_SAID = ("cluster", "quota", "roles", "registry", "objectStore", "logging", "gateway", "models")


def _with_origin(document: Mapping[str, Any]) -> dict[str, Any]:
    """Add the environment before the second and the third one, where the file says everything but this."""
    config, key = document.get("config"), "stellwerk:releasesFrom"
    if not isinstance(config, Mapping) or key in config or any(f"stellwerk:{said}" not in config for said in _SAID):
        return dict(document)
    name = config.get("stellwerk:environment")
    if name not in _THREE[1:]:
        return dict(document)
    pairs = []
    for item in config.items():
        pairs.append(item)
        if item[0] == "stellwerk:environment":
            pairs.append((key, _THREE[_THREE.index(name) - 1]))
    return {**document, "config": dict(pairs)}


def _with_tracking_mode(document: Mapping[str, Any]) -> dict[str, Any]:
    """Replace `enabled` of the tracking server by `mode`; another value is left to be refused."""
    config, key = document.get("config"), "stellwerk:tracking"
    section = config.get(key) if isinstance(config, Mapping) else None
    if not isinstance(config, Mapping) or not isinstance(section, Mapping):
        return dict(document)
    if not isinstance(section.get("enabled"), bool) or "mode" in section:
        return dict(document)
    mode = "embedded" if section["enabled"] else "off"
    kept = {name: value for name, value in section.items() if name != "enabled"}
    return {**document, "config": {**config, key: {"mode": mode, **kept}}}


# Of `stacks/Pulumi.<env>.yaml` as a whole.
STACK_FILE = (
    Migration("canary: null has no meaning and is removed", _without_null_canary),
    Migration("releasesFrom names the environment that accepts a release before this one", _with_origin),
    Migration("tracking has a mode instead of enabled: external is one, too", _with_tracking_mode),
)
# Of `models/<name>/model.yaml`.
MODEL: tuple[Migration, ...] = ()
