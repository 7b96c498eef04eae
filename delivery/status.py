"""`stellwerk status`: which release each environment points at, and whether it answers."""

from typing import Any

from delivery import pods
from delivery.errors import DeliveryError
from delivery.predict import answering_release, endpoint
from infra.values import ENVIRONMENTS, from_file


def status() -> dict[str, Any]:
    """`environments.<env>.models.<model>`: release, previous, answering, ready, reason, url.

    `ready` is true when the endpoint answers with the release that the file points at; `reason` says why it does not,
    as far as the cluster tells.
    """
    return {"environments": {name: {"models": _models(name)} for name in ENVIRONMENTS}}


def _models(environment: str) -> dict[str, dict[str, Any]]:
    found = {}
    for name, model in from_file(environment).environment.models.items():
        target = endpoint(environment, name)
        with target.client(timeout=3) as client:
            answering = answering_release(target, client)
        ready = model.release is not None and answering == model.release
        found[name] = {
            "release": model.release,
            "previous": model.previous,
            "answering": answering,
            "ready": ready,
            "reason": None if ready or model.release is None else _reason(environment, name, model.release),
            "url": target.url,
        }
    return found


def _reason(environment: str, model: str, release: str) -> str | None:
    """What keeps the pods of the release from serving; None when the cluster cannot be asked or knows nothing."""
    try:
        found = pods.troubles(environment, model, release)
    except DeliveryError:
        return None
    return found[0].text if found else None
