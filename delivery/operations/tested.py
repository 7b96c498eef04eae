"""The test set of an environment: a release is held against it where it is promoted to, and evidence is written."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from delivery.clients import store
from delivery.errors import DeliveryError, system_errors
from delivery.operations import evaluation
from delivery.operations.asked import Asked
from delivery.operations.onnx_files import load_files
from delivery.operations.writing import write_once
from delivery.session import Session
from infra.contract import testset
from infra.contract.artefact import Format, StoredObject
from infra.contract.evaluation import Gate, Task
from infra.contract.evidence import Evidence
from infra.contract.model import HOOKS
from infra.contract.release import Release
from infra.contract.testset import TestSet
from serving.errors import StartError
from serving.model import Runner


def require_test_set(session: Session, environment: str, release: Release, console: Console) -> None:
    """Measure a release on the test set that the environment's entry names: its files, as the environment's store has
    them, or its own code where it is served already.

    What came out is written as evidence. Raise DeliveryError when a gate of the release is missed on these rows, naming
    metric, value, threshold and test set.
    """
    model, identity = release.metadata.model, release.metadata.release
    version = str(session.project.model(environment, model).test_set)
    test_set = session.project.test_sets.load(model, version)
    place = f"test set {version} of {model}"
    if release.evaluation is None:
        raise DeliveryError(f"{place}: release {identity} has no evaluation, so nothing says what is to be measured")
    answering = _asked if release.serving.hooks else _loaded
    with _rows(session, environment, model, test_set) as rows, answering(session, environment, release) as loaded:
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
def _rows(session: Session, environment: str, model: str, test_set: TestSet) -> Iterator[Path]:
    """Yield a file with the rows, as the environment's store has them."""
    name = f"rows{Path(test_set.rows.key).suffix}"
    with session.store(environment) as source:
        if not store.holds(source, test_set.rows):
            raise DeliveryError(
                f"{source.name}: there is no test set {source.bucket}/{test_set.rows.key}, or another one; run "
                f"`stellwerk data push {model} FILE --test-set --env {environment}` with its file"
            )
    with _files(session, environment, {name: test_set.rows}) as folder:
        yield folder / name


@contextmanager
def _loaded(session: Session, environment: str, release: Release) -> Iterator[Runner]:
    """Yield the model, loaded as a pod does it."""
    files = {Format.ONNX.file: release.artefact, **{file.name: file for file in release.artefact.files}}
    with _files(session, environment, files) as folder:
        try:
            loaded = load_files(folder, release.artefact)
        except StartError as error:
            raise DeliveryError(
                f"release {release.metadata.release}: it cannot be loaded: {' '.join(str(error).split())}"
            ) from None
        yield loaded


@contextmanager
def _asked(session: Session, environment: str, release: Release) -> Iterator[Runner]:
    """Yield the release where it is served already: no command runs its code."""
    model, source = release.metadata.model, session.project.source(environment)
    if source is None:
        raise DeliveryError(
            f"release {release.metadata.release} answers through code of its own, {HOOKS}, which runs where it is "
            f"served alone: {environment}, where releases enter, cannot measure it before; give {model} its testSet in "
            "an environment that takes releases from another one"
        )
    target = session.endpoint(source, model)
    with target.client() as client:
        yield Asked(release, target, client)


@contextmanager
def _files(session: Session, environment: str, objects: Mapping[str, StoredObject]) -> Iterator[Path]:
    """Yield a folder with objects of the environment's store by name."""
    size = sum(item.size for item in objects.values())
    action = f"free {size} bytes in the temporary folder, or let TMPDIR name another"
    with system_errors("testing the release", action), tempfile.TemporaryDirectory(prefix="stellwerk-") as folder:
        with session.store(environment) as source:
            for name, item in objects.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    store.fetch(source, item, file)
        yield Path(folder)


def _measure(session: Session, model: str, task: Task, loaded: Runner, rows: Path) -> dict[str, float]:
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
