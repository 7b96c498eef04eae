"""Which release an environment takes: one that the environment before it serves, not one that a file there names."""

import time
from typing import Any

from delivery.clients import engine
from delivery.clients.endpoint import answering_release, endpoint
from delivery.errors import DeliveryError
from delivery.operations.release import RELEASES
from infra.services.serving import Model, models
from infra.values import NAMESPACE, file_name, from_file

# Where a release comes from when nothing else is said.
SOURCES = {"test": "dev", "prod": "test"}
_ANSWER_SECONDS = 5


def pointers(environment: str, model: str) -> Model:
    """What the environment's file says of the model; raises DeliveryError when it has no such model."""
    endpoint(environment, model)
    return models(from_file(environment).environment)[model]


def accepted(model: str, target: str, source: str | None, release: str | None) -> str:
    """The release to promote; to another environment than dev only one that the source serves or has served."""
    if target == "dev":
        return _into_dev(model, source, release)
    if source not in (None, SOURCES[target]):
        raise DeliveryError(f"{target} takes releases that {SOURCES[target]} has accepted, not from {source}")
    origin = SOURCES[target]
    stated = pointers(origin, model)
    wanted = release or stated.release
    if wanted is None:
        raise DeliveryError(
            f"{origin} has no release of {model} yet; run `stellwerk promote {model} --to {origin}` first"
        )
    RELEASES.load(model, wanted)
    serving = engine.outputs(origin).get("models", {}).get(model)
    if wanted == serving:
        _require_answer(origin, model, wanted)
        return wanted
    if wanted == stated.previous and _has_served(origin, model, wanted):
        return wanted
    what = f"{origin} serves {serving or 'no release'} of {model}"
    if wanted == stated.release:
        raise DeliveryError(
            f"{file_name(origin)} names {wanted}, but {what}: that was never applied; run `pulumi up --stack "
            f"{origin}`, and promote again when {origin} answers with it"
        )
    raise DeliveryError(
        f"{wanted} is not what {origin} serves or has served before; {what}; "
        f"run `stellwerk promote {model} --to {origin} --release {wanted}` first"
    )


def _into_dev(model: str, source: str | None, release: str | None) -> str:
    if source is not None:
        raise DeliveryError("dev takes releases from training, not from another environment; leave --from away")
    if release is None:
        known = ", ".join(RELEASES.ids(model)) or f"none; run `stellwerk release {model}`"
        raise DeliveryError(f"--to dev needs --release; releases of {model}: {known}")
    return release


def _require_answer(origin: str, model: str, release: str) -> None:
    """Raises DeliveryError unless the endpoint answers with the release; a lost answer or two do not matter."""
    target, answering = endpoint(origin, model), None
    deadline = time.monotonic() + _ANSWER_SECONDS
    while answering != release:
        with target.client(timeout=_ANSWER_SECONDS) as client:
            answering = answering_release(target, client)
        if answering != release and time.monotonic() > deadline:
            raise DeliveryError(
                f"{origin} should serve {release} of {model}, but "
                f"{f'answers with {answering}' if answering else 'does not answer'}; a release is promoted when it "
                f"serves there; see `stellwerk status` and `kubectl -n {origin}-serving get pods`"
            )
        if answering != release:
            time.sleep(0.5)


def _has_served(origin: str, model: str, release: str) -> bool:
    """Whether an update of the origin that succeeded had the release: the engine keeps each one's configuration."""
    updates = (entry for entry in engine.history(origin) if entry.get("kind") == "update")
    return any(entry.get("result") == "succeeded" and _released(entry, model) == release for entry in updates)


def _released(entry: dict[str, Any], model: str) -> str | None:
    models = (entry.get("config", {}).get(f"{NAMESPACE}:models") or {}).get("objectValue") or {}
    found: str | None = (models.get(model) or {}).get("release")
    return found
