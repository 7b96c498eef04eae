"""`stellwerk ci export`: the last state of a stack without its secrets, for previews that have no credentials."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from delivery.clients.git import Git
from delivery.errors import DeliveryError, system_errors
from delivery.session import Session
from infra.composition import credentials
from infra.composition.assumed import REMOVED, SECRET, KnownSecret, replaced
from infra.targets.target import Target

_VERSION = "stellwerk.dev/v1"
_KIND = "ExportedState"
# How the engine marks a secret value in a state, and under which key it shows one.
_SIGNATURE, _MARK, _SHOWN = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270", "plaintext"
# A shorter value is in every text.
_SHORTEST = 8


@dataclass(frozen=True)
class ExportedState:
    """A stack's state without secrets, as it was applied: when it was exported (UTC), and from which commit.

    `credentials` are the environment's, every secret value replaced; `pod_logs` is the nodes' folder of logs, where the
    target says it and not the stack file.
    """

    environment: str
    exported: str
    commit: str | None
    state: Mapping[str, Any]
    credentials: Mapping[str, Any]
    pod_logs: str | None = None

    def secrets(self) -> dict[str, KnownSecret]:
        """Return the cluster's Secrets in the state, by the names of their resources."""
        known = {}
        for item in self.state["deployment"].get("resources") or []:
            if item["type"] == SECRET:
                inputs = item["inputs"]
                keys = (*(inputs.get("data") or ()), *(inputs.get("stringData") or ()))
                known[item["urn"].rpartition("::")[2]] = KnownSecret(inputs["metadata"]["name"], keys)
        return known


def never_applied(environment: str) -> ExportedState:
    """Return the state of an environment that is new: nothing is there."""
    return ExportedState(environment, "", None, {"version": 3, "deployment": {}}, {})


def file_name(environment: str) -> str:
    """Return the name of the file with an environment's exported state."""
    return f"{environment}.json"


def export(session: Session, environment: str, folder: Path) -> Path:
    """Write the last state of an environment's stack into a folder, without a secret value in it; return the file.

    Raise DeliveryError or ConfigError when there is no such stack, when its secrets cannot be read (who cannot read
    them cannot take them out either), and when one stands in clear where nobody has marked it as secret.
    """
    engine, stack = session.engine, session.project.stack(environment)
    if environment not in engine.stacks():
        raise DeliveryError(f"{environment}: there is no such stack yet; run `stellwerk init {environment}`")
    real = engine.credentials(environment)
    known = credentials.without_secrets(real, stack)
    shown: dict[str, Any] = json.loads(engine.run("stack", "export", "--stack", environment, "--show-secrets"))
    made = ExportedState(
        environment,
        datetime.fromtimestamp(session.clock.time(), UTC).strftime("%Y-%m-%d %H:%M"),
        Git(session.project.root).head(),
        {"version": shown["version"], "deployment": _without_secrets(shown.get("deployment") or {})},
        known,
        Target(session.variables).pod_logs(stack.environment.cluster.context),
    )
    document = {"apiVersion": _VERSION, "kind": _KIND, **vars(made)}
    text = json.dumps(document)
    _require_none(real, known, text, environment)
    file = folder / file_name(environment)
    with system_errors("writing the exported state", "name another folder with --output"):
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return file


def read(file: Path) -> ExportedState:
    """Return an exported state; raise DeliveryError when the file is none."""
    with system_errors("reading an exported state", "get it again"):
        text = file.read_text(encoding="utf-8")
    try:
        document = json.loads(text)
        if (document.pop("apiVersion"), document.pop("kind")) != (_VERSION, _KIND):
            raise ValueError("it is of another kind or version")
        return ExportedState(**document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DeliveryError(
            f"{file} is no exported state: {error}; write it with `stellwerk ci export` of this version"
        ) from None


def _without_secrets(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Return a deployment without secret values, and without how they were encrypted."""
    kept = {key: value for key, value in deployment.items() if key not in ("secrets_providers", "pending_operations")}
    return {**kept, "resources": [_resource(item) for item in deployment.get("resources") or []]}


def _resource(item: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {key: _masked(value) for key, value in item.items()}
    if item["type"] == SECRET:
        for side in filter(
            None, (made.get("inputs"), made.get("outputs"), (made.get("outputs") or {}).get("__inputs"))
        ):
            # Whoever has declared it: what a Secret holds is one.
            side.update(replaced(side))
    return made


def _masked(value: Any, secret: bool = False) -> Any:
    """Return a value in which all that is marked as secret is replaced; mappings and lists keep their form."""
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _MARK:
            # What the engine does not show is not known here, and goes as a whole.
            return _masked(json.loads(value[_SHOWN]), secret=True) if _SHOWN in value else REMOVED
        return {key: _masked(each, secret) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked(each, secret) for each in value]
    return REMOVED if secret and value not in ("", None) else value


def _require_none(real: Mapping[str, Any], known: Mapping[str, Any], text: str, environment: str) -> None:
    """Raise DeliveryError where a secret value of the credentials stands in the text."""
    public = set(_leaves(known))
    for path, value in _paths(real):
        if value not in public and len(value) >= _SHORTEST and json.dumps(value)[1:-1] in text:
            raise DeliveryError(
                f"{environment}: a secret value, {path}, stands in clear in the state; nothing was written; "
                "let what declares it make it a secret (`pulumi.Output.secret`), and apply the stack"
            )


def _paths(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _paths(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, str):
        yield path, node


def _leaves(node: Any) -> Iterator[str]:
    yield from (value for _, value in _paths(node))
