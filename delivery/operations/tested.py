"""The test set of an environment: a release is held against it where it is promoted to, and evidence is written."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from delivery.clients import store
from delivery.errors import DeliveryError, system_errors
from delivery.operations import evaluation
from delivery.operations.onnx_files import load_files
from delivery.operations.writing import write_once
from delivery.session import Session
from infra.contract import testset
from infra.contract.artefact import Format
from infra.contract.evaluation import Gate, Task
from infra.contract.evidence import Evidence
from infra.contract.release import Release
from infra.contract.testset import TestSet
from serving.errors import StartError
from serving.model import Model

# Beside it are the rows: in the model's folder nothing but its files is allowed.
_MODEL = "model"


def require_test_set(session: Session, environment: str, release: Release, console: Console) -> None:
    """Measure a release's files, as the environment's store has them, on the test set that its entry names.

    What came out is written as evidence. Raise DeliveryError when a gate of the release is missed on these rows, naming
    metric, value, threshold and test set.
    """
    model, identity = release.metadata.model, release.metadata.release
    version = str(session.project.model(environment, model).test_set)
    test_set = session.project.test_sets.load(model, version)
    place = f"test set {version} of {model}"
    if release.serving.hooks:
        raise DeliveryError(
            f"{place}: release {identity} answers through code of its own, serve.py, which this command does not run; "
            f"remove testSet of {model} in {environment}, and ask its endpoint with these rows"
        )
    if release.evaluation is None:
        raise DeliveryError(f"{place}: release {identity} has no evaluation, so nothing says what is to be measured")
    with _fetched(session, environment, release, test_set) as (loaded, rows):
        metrics = _measure(session, model, release.evaluation.task, loaded, rows)
    gates = [gate for gate in release.evaluation.gates if gate.metric not in release.evaluation.own]
    missed = [
        f"{gate.metric} is {metrics.get(gate.metric, float('nan')):.4f}, must be {gate.operator} {gate.threshold}"
        for gate in gates
        if not gate.operator.holds(metrics.get(gate.metric, float("nan")), gate.threshold)
    ]
    _write_evidence(session, environment, release, test_set, metrics, passed=not missed)
    if missed:
        raise DeliveryError(f"release {identity}: {place}, gates not passed: {'; '.join(missed)}; it is not promoted")
    console.print(f"{place}: {_shown(gates, metrics)}", highlight=False, soft_wrap=True)


def _shown(gates: Sequence[Gate], metrics: dict[str, float]) -> str:
    """Return the gates that hold with what was measured; without gates the metrics."""
    held = [f"{gate.metric} {metrics[gate.metric]:.4f} {gate.operator} {gate.threshold}" for gate in gates]
    return ", ".join(held or [f"no gates, {name} {value:.4f}" for name, value in metrics.items()])


@contextmanager
def _fetched(session: Session, environment: str, release: Release, test_set: TestSet) -> Iterator[tuple[Model, Path]]:
    """Yield the model, loaded as a pod does it, and the file with the rows."""
    objects = {
        f"{_MODEL}/{Format.ONNX.file}": release.artefact,
        **{f"{_MODEL}/{file.name}": file for file in release.artefact.files},
        f"rows{Path(test_set.rows.key).suffix}": test_set.rows,
    }
    size = sum(item.size for item in objects.values())
    action = f"free {size} bytes in the temporary folder, or let TMPDIR name another"
    with system_errors("testing the release", action), tempfile.TemporaryDirectory(prefix="stellwerk-") as folder:
        with session.store(environment) as source:
            if not store.holds(source, test_set.rows):
                raise DeliveryError(
                    f"{source.name}: there is no test set {source.bucket}/{test_set.rows.key}, or another one; run "
                    f"`stellwerk data push {release.metadata.model} FILE --test-set --env {environment}` with its file"
                )
            for name, item in objects.items():
                Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
                with Path(folder, name).open("wb") as file:
                    store.fetch(source, item, file)
        try:
            loaded = load_files(Path(folder, _MODEL), release.artefact)
        except StartError as error:
            raise DeliveryError(
                f"release {release.metadata.release}: it cannot be loaded: {' '.join(str(error).split())}"
            ) from None
        yield loaded, Path(folder, list(objects)[-1])


def _measure(session: Session, model: str, task: Task, loaded: Model, rows: Path) -> dict[str, float]:
    models = session.project.models
    target = models.load(model).target if model in models.names() else None
    _, examples = evaluation.read_rows(rows, model, loaded, target)
    answers = evaluation.answers_to(rows, loaded, examples)
    return evaluation.metrics_of(rows, task, answers, examples)


def _write_evidence(
    session: Session, environment: str, release: Release, test_set: TestSet, values: dict[str, float], *, passed: bool
) -> None:
    """Write what came out, once: the same files and rows give the same again."""
    model, identity = release.metadata.model, release.metadata.release
    gate = testset.gate(test_set.metadata.version)
    folder = session.project.evidence
    file = folder.file(model, identity, environment, gate)
    if file.exists():
        return
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "apiVersion": "stellwerk.dev/v1",
        "kind": "Evidence",
        "metadata": {"model": model, "release": identity, "environment": environment, "gate": gate, "created": created},
        "subject": {
            "artefact": release.artefact.digest,
            "servingImage": release.serving.image,
            "testSet": test_set.rows.digest,
        },
        "result": {"passed": passed, "values": values},
    }
    name = f"{folder.name}/{model}/{identity}/{file.name}"
    write_once(Evidence.model_validate(document), file, name, "evidence", "stellwerk promote")
