"""`stellwerk status`: which release each environment points at, and whether it answers."""

from typing import Any

from delivery.predict import answering_release, endpoint
from infra.values import ENVIRONMENTS, from_file


def status() -> dict[str, Any]:
    """`environments.<env>.models.<model>`: release, previous, ready, url.

    `ready` is true when the endpoint answers with the release that the file points at.
    """
    return {"environments": {name: {"models": _models(name)} for name in ENVIRONMENTS}}


def _models(environment: str) -> dict[str, dict[str, Any]]:
    found = {}
    for name, model in from_file(environment).environment.models.items():
        target = endpoint(environment, name)
        with target.client(timeout=3) as client:
            answering = answering_release(target, client)
        found[name] = {
            "release": model.release,
            "previous": model.previous,
            "answering": answering,
            "ready": model.release is not None and answering == model.release,
            "url": target.url,
        }
    return found
