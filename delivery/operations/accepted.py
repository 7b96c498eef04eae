"""Which release an environment takes: one that the environment before it serves, not one that a file there names."""

from typing import Any

from delivery.clients.endpoint import answering_release
from delivery.clients.engine import Engine
from delivery.errors import DeliveryError
from delivery.project import Project
from delivery.session import Session
from infra.values import NAMESPACE, SERVING, file_name

_ANSWER_SECONDS = 5


def accepted(session: Session, model: str, target: str, source: str | None, release: str | None) -> str:
    """Return the release to promote; into the second environment and later ones only what the one before serves.

    What the one before has served counts, too. Raise DeliveryError for everything else.
    """
    project, origin = session.project, session.project.source(target)
    if origin is None:
        return _into_first(project, model, target, source, release)
    if source not in (None, origin):
        raise DeliveryError(f"{target} takes releases that {origin} has accepted, not from {source}")
    stated = project.pointers(origin, model)
    wanted = release or stated.release
    if wanted is None:
        raise DeliveryError(
            f"{origin} has no release of {model} yet; run `stellwerk promote {model} --to {origin}` first"
        )
    project.releases.load(model, wanted)
    serving = session.engine.served(origin, model)
    if wanted == serving:
        _require_answer(session, origin, model, wanted)
        return wanted
    if wanted == stated.previous and _has_served(session.engine, origin, model, wanted):
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


def _into_first(project: Project, model: str, target: str, source: str | None, release: str | None) -> str:
    if source is not None:
        raise DeliveryError(f"{target} takes releases from training, not from another environment; leave --from away")
    if release is None:
        known = ", ".join(project.releases.ids(model)) or f"none; run `stellwerk release {model}`"
        raise DeliveryError(
            f"--to {target} needs --release: releases enter there, because {file_name(target)} names no "
            f"stellwerk:releasesFrom; releases of {model}: {known}"
        )
    return release


def _require_answer(session: Session, origin: str, model: str, release: str) -> None:
    """Raise DeliveryError unless the endpoint answers with the release; a lost answer or two do not matter."""
    target, answering = session.endpoint(origin, model), None
    place = session.project.environment(origin).namespace(SERVING)
    deadline = session.clock.monotonic() + _ANSWER_SECONDS
    while answering != release:
        with target.client(timeout=_ANSWER_SECONDS) as client:
            answering = answering_release(target, client)
        if answering != release and session.clock.monotonic() > deadline:
            raise DeliveryError(
                f"{origin} should serve {release} of {model}, but "
                f"{f'answers with {answering}' if answering else 'does not answer'}; a release is promoted when it "
                f"serves there; see `stellwerk status` and `kubectl -n {place} get pods`"
            )
        if answering != release:
            session.clock.sleep(0.5)


def _has_served(engine: Engine, origin: str, model: str, release: str) -> bool:
    """Return whether a successful update of the origin had the release: the engine keeps each one's configuration."""
    updates = (entry for entry in engine.history(origin) if entry.get("kind") == "update")
    return any(entry.get("result") == "succeeded" and _released(entry, model) == release for entry in updates)


def _released(entry: dict[str, Any], model: str) -> str | None:
    models = (entry.get("config", {}).get(f"{NAMESPACE}:models") or {}).get("objectValue") or {}
    release: str | None = (models.get(model) or {}).get("release")
    return release
