"""`stellwerk status`: which release each environment points at, whether it answers, and whether it could come back."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from delivery.clients import store
from delivery.clients.endpoint import answering_release, endpoint
from delivery.errors import DeliveryError
from delivery.operations import pods
from delivery.operations.release import RELEASES
from infra.services.serving import Model, models
from infra.values import ENVIRONMENTS, from_file


def status() -> dict[str, Any]:
    """`environments.<env>.models.<model>`: release, previous, answering, ready, reason, artefact, url.

    `ready` is true when the endpoint answers with the release that the file points at; `reason` says why it does not,
    as far as the cluster tells. `artefact` is what the environment's store has: intact, changed or absent; null
    without a release, or while the store is not reached.
    """
    files = {name: models(from_file(name).environment) for name in ENVIRONMENTS}
    with ThreadPoolExecutor(len(ENVIRONMENTS)) as pool:
        artefacts = dict(zip(files, pool.map(_artefacts, files, files.values()), strict=True))
    return {"environments": {name: {"models": _models(name, files[name], artefacts[name])} for name in ENVIRONMENTS}}


def _models(environment: str, models: Mapping[str, Model], artefacts: dict[str, str]) -> dict[str, dict[str, Any]]:
    found = {}
    for name, model in models.items():
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
            "artefact": artefacts.get(name),
            "url": target.url,
        }
    return found


def _artefacts(environment: str, models: Mapping[str, Model]) -> dict[str, str]:
    """What the store has of each release; a pod that starts takes nothing but the very artefact."""
    wanted = {name: model.release for name, model in models.items() if model.release}
    found: dict[str, str] = {}
    if not wanted:
        return found
    # Whether the endpoint answers is told all the same.
    with suppress(DeliveryError), store.connect(environment) as there:
        for name, release in wanted.items():
            found[name] = store.content(there, RELEASES.load(name, release).artefact).value
    return found


def _reason(environment: str, model: str, release: str) -> str | None:
    """What keeps the pods of the release from serving; None when the cluster cannot be asked or knows nothing."""
    try:
        found = pods.troubles(environment, model, release)
    except DeliveryError:
        return None
    return found[0].text if found else None
