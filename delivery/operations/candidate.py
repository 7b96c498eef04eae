"""What a training Job says about a model, and what the command verifies by itself before it becomes a release."""

import math
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from components.kit.names import MODEL_LABEL, REVISION
from delivery.clients import store
from delivery.clients.engine import Engine
from delivery.clients.jobs import TRAINER_VARIABLES, TrainingJobs, owner_of, stated_digest, train_job_of
from delivery.errors import DeliveryError, system_errors
from delivery.operations import measured, pickles, train
from infra.contract import candidate as contract
from infra.contract import model as models
from infra.contract.candidate import Candidate
from infra.contract.problems import show
from infra.services.training import image

# Another build of ONNX Runtime or another processor differs in the last digits.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Published:
    """A candidate as the store has it, and the digest of its bytes."""

    candidate: Candidate
    digest: str


def read(source: store.Store, model: str, job: str, experiment: str) -> Published:
    """Return the candidate of a Job, validated; raise DeliveryError naming every key that is wrong.

    `experiment` is what the tracking server calls the model.
    """
    key = contract.key(model, job)
    raw = store.read_json(source, key)
    try:
        candidate = Candidate.model_validate_json(raw)
    except ValidationError as error:
        raise DeliveryError(
            f"candidate {source.bucket}/{key}: {_wrong(error)}; train again, nothing is released"
        ) from None
    wrong = contract.contradictions(candidate, model, job, experiment)
    _refuse(job, [(".".join(map(str, problem.path)), problem.given, problem.allowed) for problem in wrong])
    return Published(candidate, f"sha256:{sha256(raw).hexdigest()}")


def _wrong(error: ValidationError) -> str:
    kinds = {"missing": "missing", "extra_forbidden": "unknown"}
    keys_by_kind: dict[str, list[str]] = {}
    for detail in error.errors():
        keys_by_kind.setdefault(kinds.get(detail["type"], "wrong"), []).append(
            ".".join(map(str, detail["loc"])) or "the text"
        )
    return "it does not make a release; " + "; ".join(
        f"{kind}: {', '.join(keys)}" for kind, keys in keys_by_kind.items()
    )


def verify(published: Published, source: store.Store, jobs: TrainingJobs, engine: Engine, model: models.Model) -> None:
    """Hold the candidate against the Job, the artefact, the examples and the gates of the model's document.

    Whoever has the store's key can write a candidate. Nobody but the Job's own pod can state its digest in the API
    server: with that it is known to be the Job's: data and run are as the Job observed them. Raise
    DeliveryError with every difference.
    """
    candidate = published.candidate
    job = _ended_job(candidate, jobs)
    _authenticate(published, job, jobs)
    _hold_against_job(candidate, job, jobs, _repository(engine, jobs.environment, model.name), model)
    action = f"free {candidate.artefact.total_size} bytes in the temporary folder, or let TMPDIR name another"
    with system_errors("verifying the artefact", action), tempfile.TemporaryDirectory(prefix="stellwerk-") as folder:
        files = {candidate.artefact.format.file: candidate.artefact} | {
            one.name: one for one in candidate.artefact.files
        }
        for name, item in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                store.fetch(source, item, file)
            _refuse_pickle(candidate, name, path)
        own = measured.measure(candidate, Path(folder), source, model)
    _refuse(candidate.training.job, different(measured.claims(candidate, own, model)))


def _refuse_pickle(candidate: Candidate, name: str, path: Path) -> None:
    reason = pickles.pickle_in(path)
    if reason:
        raise DeliveryError(
            f"candidate of {candidate.training.job}: {name} is not released: {reason}; let `export` write another"
        )


def _repository(engine: Engine, environment: str, model: str) -> str:
    """Return where the environment has the model's image; raise DeliveryError while it has none."""
    images = engine.outputs(environment)["images"]
    if image(model) not in images:
        raise DeliveryError(
            f"{environment}: there is no image {image(model)} yet; run `pulumi up --stack {environment}`, and train "
            "again"
        )
    repository: str = images[image(model)].partition("@")[0]
    return repository


def _ended_job(candidate: Candidate, jobs: TrainingJobs) -> dict[str, Any]:
    """Return the Job, which has succeeded."""
    model, job = candidate.model, candidate.training.job
    known = jobs.job(job)
    if known is None:
        raise DeliveryError(
            f"{jobs.namespace}: there is no job {job} any more, so nobody can tell whether it made this candidate; "
            f"run `stellwerk train {model} --wait` with the same parameters: the same name, then release it"
        )
    if not train.condition(known, "Complete"):
        state = "has failed" if train.condition(known, "Failed") else "has not ended yet"
        raise DeliveryError(f"job {job} {state}; its candidate is not released")
    return known


def _authenticate(published: Published, job: dict[str, Any], jobs: TrainingJobs) -> None:
    """Raise DeliveryError unless the Job's pod has stated the digest of this candidate."""
    name = published.candidate.training.job
    again = (
        f"run `kubectl -n {jobs.namespace} delete {' '.join(owner_of(name))}` and "
        f"`stellwerk train {published.candidate.model} --wait` "
        "with the same parameters: the same name, then release it"
    )
    stated = stated_digest(job, jobs.pods(name))
    if stated is None:
        raise DeliveryError(
            f"{jobs.namespace}: the pod of job {name} is gone, and with it the digest of the candidate that the Job "
            f"published, so nobody can tell whether this one is the Job's; {again}"
        )
    if stated != published.digest:
        raise DeliveryError(
            f"candidate of {name}: it has digest {published.digest}, the Job stated {stated or 'none'}: this is not "
            f"what the Job published; nothing is released\n  do: {again}; if this comes back, somebody writes to the "
            "object store"
        )


def _hold_against_job(
    candidate: Candidate, job: dict[str, Any], jobs: TrainingJobs, repository: str, model: models.Model
) -> None:
    """Raise DeliveryError unless the Job is what `stellwerk train` makes of the template and these parameters."""
    name, template = candidate.training.job, jobs.template(candidate.model)
    if template is None:
        raise DeliveryError(
            f"{jobs.namespace}: there is no template train-{candidate.model}; "
            f"run `pulumi up --stack {jobs.environment}`"
        )
    expected, pod = template["spec"]["jobTemplate"]["spec"]["template"]["spec"], job["spec"]["template"]["spec"]
    container, annotations = pod["containers"][0], job["spec"]["template"].get("metadata", {}).get("annotations", {})
    added = TRAINER_VARIABLES if train_job_of(name) else frozenset()
    request = train.read_arguments(name, model, container.get("args", []))
    claims = [
        ("the Job's model", job["metadata"].get("labels", {}).get(MODEL_LABEL), candidate.model),
        ("the Job's name", train_job_of(name) or name, train.job_name(candidate.model, pod)),
        ("the Job's containers", _shape(pod, added), _shape(expected)),
        ("the image's repository", candidate.training.image.partition("@")[0], repository),
        ("training.image", candidate.training.image, container["image"]),
        ("training.commit", candidate.training.commit, annotations.get(REVISION)),
        ("training.parameters", candidate.training.parameters, request.parameters),
        ("requirements", list(candidate.requirements), list(request.requirements)),
    ]
    _refuse(name, different(claims))


def _shape(pod: dict[str, Any], added: Collection[str] = ()) -> list[Any]:
    """Return what decides which code runs: containers, commands, names of variables and places of volumes.

    `added` are variables that the template cannot have: they are the controller's, who has made the pod of it.
    """
    return [
        (
            container["name"],
            container.get("command"),
            sorted(item["name"] for item in container.get("env", []) if item["name"] not in added),
            sorted(item["mountPath"] for item in container.get("volumeMounts", [])),
        )
        for container in [*pod.get("initContainers", []), *pod["containers"]]
    ]


def different(claims: list[tuple[str, Any, Any]]) -> list[tuple[str, str, str]]:
    """Return the claims (what, stated, real) that differ, shown."""
    return [(what, show(stated), show(real)) for what, stated, real in claims if not _equal(stated, real)]


def _refuse(job: str, wrong: list[tuple[str, str, str]]) -> None:
    """Raise DeliveryError with every claim that is wrong, if there is one."""
    lines = [f"\n  {what}: the candidate says {stated}, found was {real}" for what, stated, real in wrong]
    if lines:
        raise DeliveryError(
            f"candidate of {job}: it is not what this Job can have made; nothing is released{''.join(lines)}\n"
            "  do: train again; if this comes back, somebody writes to the object store"
        )


def _equal(stated: Any, real: Any) -> bool:
    """Return whether both are the same; numbers may differ in their last digits."""
    if isinstance(stated, dict) and isinstance(real, dict):
        return stated.keys() == real.keys() and all(_equal(stated[key], real[key]) for key in stated)
    if isinstance(stated, list | tuple) and isinstance(real, list | tuple):
        return len(stated) == len(real) and all(map(_equal, stated, real))
    if isinstance(stated, float) and isinstance(real, float):
        return math.isclose(stated, real, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return type(stated) is type(real) and bool(stated == real)
