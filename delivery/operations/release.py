"""`stellwerk release`: turn a candidate into an immutable release file."""

import io
import os
from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq

from delivery.errors import DeliveryError, system_errors
from delivery.operations.serving_image import serving_image
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


def identity_after(known: Sequence[str], digest: str) -> str:
    """Return the release id that follows the `known` ones, oldest first, for a model's file of this digest."""
    number = int(known[-1][1:].split("-")[0]) + 1 if known else 1
    return f"v{number}-{digest.removeprefix('sha256:')[:8]}"


def write(releases: Releases, model: str, identity: str, release: Release) -> None:
    """Write the file whole or not at all; raise DeliveryError when there is one already, or it cannot be written."""
    document = release.model_dump(mode="json", by_alias=True, exclude_none=True)
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    text.write(f"# Written by `stellwerk {'model import' if release.origin else 'release'}`; immutable.\n")
    yaml.dump(_rows(document), text)
    target = releases.file(model, identity)
    with system_errors("writing the release", f"free some space and make {releases.name} writable, then release again"):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Two commands may write the same release at once: each has a file of its own.
        partial = target.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.write_text(text.getvalue(), encoding="utf-8")
            os.link(partial, target)
        except FileExistsError:
            raise DeliveryError(f"{releases.name}/{model}/{identity}.yaml exists already, and releases stay") from None
        finally:
            partial.unlink(missing_ok=True)


def _rows(value: Any) -> Any:
    """Return the document with lists of numbers as rows instead of one number a line."""
    if isinstance(value, dict):
        return {key: _rows(item) for key, item in value.items()}
    if isinstance(value, list):
        rows = CommentedSeq(_rows(item) for item in value)
        if not any(isinstance(item, dict | list) for item in value):
            rows.fa.set_flow_style()
        return rows
    return value
