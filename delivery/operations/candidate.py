"""What a training Job says about a model, and what the command finds out by itself before it becomes a release."""

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from delivery.clients import engine, store
from delivery.clients.kube import get
from delivery.errors import DeliveryError
from delivery.operations import train
from infra.contract.fields import Name, Section
from infra.contract.problems import show
from infra.contract.release import Artefact, Data, Evaluation, Interface, Reference, Run, TrainingRecord
from serving.errors import StartError
from serving.model import Model, load
from training import data, evaluation, settings
from training.errors import TrainingError

# Another build of ONNX Runtime or another processor differs in the last digits.
_TOLERANCE = 1e-5
# `training.export` refuses more; it is not imported because it needs the packages of the training image.
_PARITY = 1e-4


class Candidate(Section):
    """What a training Job has published: everything a release says, but its number and its serving image."""

    model: Name
    created: str
    artefact: Artefact
    training: TrainingRecord
    data: Data
    run: Run
    interface: Interface
    evaluation: Evaluation
    reference: Reference
    requirements: tuple[str, ...]


def read(source: store.Store, model: str, job: str) -> Candidate:
    """The candidate of a Job, validated; raises DeliveryError naming every key that is wrong."""
    key = f"candidates/{model}/{job}.json"
    raw = store.read_json(source, key)
    try:
        candidate = Candidate.model_validate_json(raw)
    except ValidationError as error:
        raise DeliveryError(
            f"candidate {source.bucket}/{key}: {_wrong(error)}; train again, nothing is released"
        ) from None
    digest = candidate.artefact.digest.removeprefix("sha256:")
    _same(
        job,
        [
            ("model", candidate.model, model),
            ("training.job", candidate.training.job, job),
            ("run.experiment", candidate.run.experiment, model),
            ("artefact.key", candidate.artefact.key, f"{model}/sha256-{digest}.onnx"),
        ],
    )
    return candidate


def _wrong(error: ValidationError) -> str:
    kinds = {"missing": "missing", "extra_forbidden": "unknown"}
    found: dict[str, list[str]] = {}
    for detail in error.errors():
        found.setdefault(kinds.get(detail["type"], "wrong"), []).append(".".join(map(str, detail["loc"])) or "the text")
    return "it does not make a release; " + "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in found.items())


def verify(candidate: Candidate, source: store.Store) -> None:
    """Holds the candidate against the Job, the artefact, the data and the gates of this checkout.

    Whoever has the store's key can write a candidate: nothing in it is believed. Raises DeliveryError with every
    difference.
    """
    _job(candidate)
    with tempfile.TemporaryDirectory(prefix="stellwerk-") as folder:
        path = Path(folder) / "model.onnx"
        with path.open("wb") as file:
            store.fetch(source, candidate.artefact, file)
        try:
            model = load(path, candidate.artefact.digest)
        except StartError as error:
            raise DeliveryError(
                f"candidate of {candidate.training.job}: its model cannot be served: {_short(error)}; "
                "nothing is released"
            ) from None
        _model(candidate, model)


def _job(candidate: Candidate) -> None:
    """The Job is there, has succeeded, and is what `stellwerk train` makes of the template and these parameters."""
    model, job = candidate.model, candidate.training.job
    namespace = train.NAMESPACE
    known = get(train.ENVIRONMENT, namespace, "job", job)
    if known is None:
        raise DeliveryError(
            f"{namespace}: there is no job {job} any more, so nobody can tell whether it made this candidate; "
            f"run `stellwerk train {model} --wait` with the same parameters: the same name, then release it"
        )
    template = get(train.ENVIRONMENT, namespace, "cronjob", f"train-{model}")
    if template is None:
        raise DeliveryError(
            f"{namespace}: there is no template train-{model}; run `pulumi up --stack {train.ENVIRONMENT}`"
        )
    if not train.condition(known, "Complete"):
        state = "has failed" if train.condition(known, "Failed") else "has not ended yet"
        raise DeliveryError(f"job {job} {state}; its candidate is not released")
    expected, pod = template["spec"]["jobTemplate"]["spec"]["template"]["spec"], known["spec"]["template"]["spec"]
    container = pod["containers"][0]
    request = _request(job, container.get("args", []))
    repository = engine.outputs(train.ENVIRONMENT)["images"]["training"].partition("@")[0]
    _same(
        job,
        [
            ("the Job's model", known["metadata"].get("labels", {}).get("stellwerk.dev/model"), model),
            ("the Job's name", job, train.job_name(model, pod)),
            ("the Job's containers", _shape(pod), _shape(expected)),
            ("the image's repository", candidate.training.image.partition("@")[0], repository),
            ("training.image", candidate.training.image, container["image"]),
            ("training.commit", candidate.training.commit, _variable(container, "GIT_COMMIT")),
            ("training.parameters", candidate.training.parameters, request.hyperparameters.as_parameters()),
            ("requirements", list(candidate.requirements), list(request.requirements)),
        ],
    )


def _request(job: str, arguments: list[str]) -> settings.Request:
    try:
        return settings.parse(arguments)
    except SystemExit:
        raise DeliveryError(f"job {job}: its arguments are not those of `stellwerk train`, see above") from None


def _shape(pod: dict[str, Any]) -> list[Any]:
    """What decides which code runs: containers, their commands and the names of their variables."""
    return [
        (container["name"], container.get("command"), sorted(item["name"] for item in container.get("env", [])))
        for container in [*pod.get("initContainers", []), *pod["containers"]]
    ]


def _variable(container: dict[str, Any], name: str) -> str | None:
    return next((item.get("value") for item in container.get("env", []) if item["name"] == name), None)


def _model(candidate: Candidate, model: Model) -> None:
    """Interface, data, metrics and gates, found out again."""
    real = {side: [tensor.metadata() for tensor in getattr(model, side)] for side in ("inputs", "outputs")}
    said = candidate.interface.model_dump(mode="json")
    job = candidate.training.job
    _same(job, [(f"interface.{side}", said[side], real[side]) for side in real])
    try:
        dataset = data.load(candidate.model)
        gates = evaluation.GATES[candidate.model]
        metrics = evaluation.measure(_scores(model, dataset), dataset.held_out.labels)
    except KeyError:
        raise DeliveryError(
            f"{candidate.model}: training/evaluation.py has no gates for it; nothing is released"
        ) from None
    except TrainingError as error:
        raise DeliveryError(f"candidate of {job}: it cannot be measured: {error}; nothing is released") from None
    results = evaluation.apply_gates(gates, metrics)
    missed = [str(result) for result in results if not result.passed]
    if missed:
        raise DeliveryError(
            f"candidate of {job}: gates not passed, measured by this command: {'; '.join(missed)}; nothing is released"
        )
    rows = {"train": len(dataset.train.labels), "held_out": len(dataset.held_out.labels)}
    claimed = {gate.metric: (gate.operator.value, gate.threshold) for gate in candidate.evaluation.gates}
    values = {gate.metric: gate.value for gate in candidate.evaluation.gates}
    statistics = {name: item.model_dump() for name, item in candidate.reference.inputs.items()}
    _same(
        job,
        [
            ("data.name", candidate.data.name, dataset.contract.name),
            ("data.digest", candidate.data.digest, dataset.digest),
            ("data.rows", candidate.data.rows.model_dump(), rows),
            ("evaluation.metrics", candidate.evaluation.metrics, metrics),
            ("evaluation.gates", claimed, {gate.metric: (gate.operator, gate.threshold) for gate in gates}),
            ("the gates' values", values, {gate.metric: metrics[gate.metric] for gate in gates}),
            ("evaluation.parity.rows", candidate.evaluation.parity.rows, rows["held_out"]),
            ("evaluation.parity within its limit", candidate.evaluation.parity.max_abs_difference <= _PARITY, True),
            ("reference.inputs", statistics, {model.inputs[0].name: data.column_statistics(dataset.train.inputs)}),
        ],
    )


def _scores(model: Model, dataset: data.Dataset) -> Any:
    """The scores of the held-out rows, as the server would compute them."""
    rows = dataset.held_out.inputs
    (name, shape, kind) = (model.inputs[0].name, model.inputs[0].shape, model.inputs[0].datatype)
    if len(model.inputs) != 1 or kind != "FP32" or len(shape) != 2 or shape[1] != rows.shape[1]:
        raise TrainingError(f"its input must be FP32 of shape [-1, {rows.shape[1]}]")
    try:
        scores = np.asarray(model.run({name: rows}, [model.outputs[0].name])[0])
    # ONNX Runtime's exceptions share no base class but Exception.
    except Exception as error:
        raise TrainingError(f"it does not run on the held-out rows: {_short(error)}") from error
    if scores.shape != (len(rows), dataset.contract.classes):
        raise TrainingError(f"its output must have the shape [rows, {dataset.contract.classes}], not {scores.shape}")
    return scores


def _same(job: str, claims: list[tuple[str, Any, Any]]) -> None:
    """Raises DeliveryError with every claim that differs from what was found out."""
    wrong = [
        f"\n  {what}: the candidate says {show(said)}, found was {show(real)}"
        for what, said, real in claims
        if not _equal(said, real)
    ]
    if wrong:
        raise DeliveryError(
            f"candidate of {job}: it is not what this Job can have made; nothing is released{''.join(wrong)}\n"
            "  do: train again; if this comes back, somebody writes to the object store"
        )


def _equal(said: Any, real: Any) -> bool:
    """Numbers may differ in their last digits, nothing else."""
    if isinstance(said, dict) and isinstance(real, dict):
        return said.keys() == real.keys() and all(_equal(said[key], real[key]) for key in said)
    if isinstance(said, list | tuple) and isinstance(real, list | tuple):
        return len(said) == len(real) and all(map(_equal, said, real))
    if isinstance(said, float) and isinstance(real, float):
        return math.isclose(said, real, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return type(said) is type(real) and bool(said == real)


def _short(error: Exception) -> str:
    """ONNX Runtime says the same several times."""
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else text[:399] + "…"
