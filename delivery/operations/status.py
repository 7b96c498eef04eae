"""`stellwerk status`: which release each environment points at, whether it answers, and whether it could come back."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from delivery.clients import store
from delivery.clients.endpoint import Endpoint, answering_release
from delivery.errors import DeliveryError
from delivery.operations import pods
from delivery.operations.feedback import noted, open_feedback
from delivery.session import Session
from infra.services.serving import Model

# So many models of an environment are asked at a time: one that does not answer is waited for, and costs nobody
# anything meanwhile. httpx has no more connections.
ASKED_AT_ONCE = 100
ANSWER_SECONDS = 3.0
# Of files and environments: enough to hide the way, few enough for the store.
_AT_ONCE = 16

Key = TypeVar("Key")
Value = TypeVar("Value")


def status(session: Session) -> dict[str, Any]:
    """Return `environments.<env>.models.<model>`: release, previous, answering, ready, reason, artefact, feedback, url.

    `ready` is true when the endpoint answers with the release that the file points at; `reason` says why it does not,
    as far as the cluster knows. `artefact` is what the environment's store has: intact, changed or absent; null
    without a release, or while the store is not reached. `feedback` is what was said of the release, or of an earlier
    one, and that it does not answer.
    """
    project = session.project
    models = {name: project.served(name) for name in project.environments}
    targets = {name: {model: session.endpoint(name, model) for model in served} for name, served in models.items()}
    artefacts = _each(models, lambda name: _artefacts(session, name, models[name]))
    answering = _each(models, lambda name: answers(targets[name]))
    return {
        "environments": {
            name: {"models": _models(session, name, served, targets[name], answering[name], artefacts[name])}
            for name, served in models.items()
        }
    }


def _each(keys: Iterable[Key], ask: Callable[[Key], Value], at_once: int = _AT_ONCE) -> dict[Key, Value]:
    """Return an answer for each, in the order of the keys; a bounded number is asked at a time."""
    ordered = list(keys)
    with ThreadPoolExecutor(at_once) as pool:
        return dict(zip(ordered, pool.map(ask, ordered), strict=True))


def _models(
    session: Session,
    environment: str,
    models: Mapping[str, Model],
    targets: Mapping[str, Endpoint],
    answers: Mapping[str, str | None],
    artefacts: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    silent = {name: model.release for name, model in models.items() if model.release and model.release != answers[name]}
    reasons = _reasons(session, environment, silent)
    return {
        name: {
            "release": model.release,
            "previous": model.previous,
            "answering": answers[name],
            "ready": model.release is not None and answers[name] == model.release,
            "reason": reasons.get(name),
            "artefact": artefacts.get(name),
            "feedback": _feedback(session, name, model.release),
            "url": targets[name].url,
        }
        for name, model in models.items()
    }


def _feedback(session: Session, model: str, release: str | None) -> list[dict[str, Any]]:
    """Return what was said of a release and that it does not answer."""
    known = open_feedback(session.project, model, release) if release else ()
    return [asdict(noted(each)) for each in known]


def answers(targets: Mapping[str, Endpoint]) -> dict[str, str | None]:
    """Return the release with which each model answers; all are behind one gateway, and share the connections to it."""
    if not targets:
        return {}
    with next(iter(targets.values())).client(ANSWER_SECONDS) as client:
        return _each(targets, lambda name: answering_release(targets[name], client), ASKED_AT_ONCE)


def _artefacts(session: Session, environment: str, models: Mapping[str, Model]) -> dict[str, str]:
    """Return what the store has of each release; a pod that starts takes nothing but the very artefact."""
    wanted = {name: model.release for name, model in models.items() if model.release}
    if not wanted:
        return {}
    # Without the store, the report still says whether the endpoint answers.
    with suppress(DeliveryError), session.store(environment) as source:
        return _each(wanted, partial(_artefact, session, source, wanted))
    return {}


def _artefact(session: Session, source: store.Store, wanted: Mapping[str, str], model: str) -> str:
    files = session.project.releases.load(model, wanted[model]).model_files.values()
    return store.least(store.content(source, file) for file in files).value


def _reasons(session: Session, environment: str, releases: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps the pods of releases from serving; nothing when the cluster gives no answer or no reason."""
    if not releases:
        return {}
    try:
        return pods.reasons(session.kubectl(environment), releases)
    except DeliveryError:
        return {}
