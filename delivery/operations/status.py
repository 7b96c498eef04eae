"""`stellwerk status`: which release each environment points at, whether it answers, and whether it could come back."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from delivery.clients import store
from delivery.clients.endpoint import answering_release
from delivery.errors import DeliveryError
from delivery.operations import pods
from delivery.session import Session
from infra.services.serving import Model


def status(session: Session) -> dict[str, Any]:
    """Return `environments.<env>.models.<model>`: release, previous, answering, ready, reason, artefact, url.

    `ready` is true when the endpoint answers with the release that the file points at; `reason` says why it does not,
    as far as the cluster knows. `artefact` is what the environment's store has: intact, changed or absent; null
    without a release, or while the store is not reached.
    """
    project = session.project
    models = {name: project.served(name) for name in project.environments}
    with ThreadPoolExecutor(len(models)) as pool:
        artefacts = dict(zip(models, pool.map(partial(_artefacts, session), models, models.values()), strict=True))
    return {
        "environments": {name: {"models": _models(session, name, models[name], artefacts[name])} for name in models}
    }


def _models(
    session: Session, environment: str, models: Mapping[str, Model], artefacts: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    states = {}
    for name, model in models.items():
        target = session.endpoint(environment, name)
        with target.client(timeout=3) as client:
            answering = answering_release(target, client)
        ready = model.release is not None and answering == model.release
        states[name] = {
            "release": model.release,
            "previous": model.previous,
            "answering": answering,
            "ready": ready,
            "reason": None if ready or model.release is None else _reason(session, environment, name, model.release),
            "artefact": artefacts.get(name),
            "url": target.url,
        }
    return states


def _artefacts(session: Session, environment: str, models: Mapping[str, Model]) -> dict[str, str]:
    """Return what the store has of each release; a pod that starts takes nothing but the very artefact."""
    wanted = {name: model.release for name, model in models.items() if model.release}
    contents: dict[str, str] = {}
    if not wanted:
        return contents
    # Without the store, the report still says whether the endpoint answers.
    with suppress(DeliveryError), session.store(environment) as source:
        for name, release in wanted.items():
            contents[name] = store.content(source, session.project.releases.load(name, release).artefact).value
    return contents


def _reason(session: Session, environment: str, model: str, release: str) -> str | None:
    """Return what keeps the pods of a release from serving; None when the cluster gives no answer or no reason."""
    try:
        troubles = pods.troubles(session.kubectl(environment), model, release)
    except DeliveryError:
        return None
    return troubles[0].text if troubles else None
