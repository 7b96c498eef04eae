"""`stellwerk release`: turn a candidate into an immutable release file."""

from delivery.operations.serving_image import serving_image
from delivery.operations.writing import identity_after, write_once
from delivery.session import Session
from infra.contract.candidate import release_of
from infra.contract.release import Release, Releases


def release(session: Session, environment: str, model: str, job: str) -> str:
    """Write the release of the candidate of an environment's Job, or find the one with its artefact and serving image.

    Return its id.

    Raise DeliveryError when the candidate is absent, is not what the Job stated, or is not what the command itself
    finds out about Job, artefact, example rows and gates.
    """
    # ONNX Runtime takes half a second to import, and nothing else of the command needs it.
    from delivery.operations import candidate as candidates

    project, engine, jobs = session.project, session.engine, session.jobs(environment)
    releases, experiment = project.releases, project.environment(environment).shared_name(model)
    with session.store(environment) as source:
        published = candidates.read(source, model, job, experiment)
        digest, image = published.candidate.artefact.digest, serving_image(session, environment, published.candidate)
        known = releases.ids(model)
        for identity in known:
            existing = releases.load(model, identity)
            # It was verified when it was made; its Job may be gone since.
            if (existing.artefact.digest, existing.serving.image) == (digest, image):
                return identity
        candidates.verify(published, source, jobs, engine, project.models.load(model))
    identity = identity_after(known, digest)
    # What was verified is what is written, not another reading of the same text.
    write(releases, model, identity, release_of(published.candidate, identity, image))
    return identity


def write(releases: Releases, model: str, identity: str, release: Release) -> None:
    """Write the file whole or not at all; raise DeliveryError when there is one already, or it cannot be written."""
    command = "stellwerk model import" if release.origin else "stellwerk release"
    write_once(release, releases.file(model, identity), f"{releases.name}/{model}/{identity}.yaml", "release", command)
