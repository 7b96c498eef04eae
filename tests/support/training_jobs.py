"""Training Jobs that have published: candidates, artefacts and example rows by training's own code."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import pytest

from components.kit.names import REVISION
from delivery.clients.jobs import TrainingJobs
from delivery.errors import DeliveryError
from delivery.operations import release, train
from infra.contract.release import Releases
from tests.support.checkout import MODEL, Checkout
from tests.support.engine import FakeEngine
from tests.support.linear import Layer, to_onnx
from tests.support.models import training_data, training_model
from tests.support.session import Bench, FakeCluster
from tests.support.stores import MemoryStores
from tests.support.training_cluster import IMAGE, TEMPLATE, condition
from training import evaluation, metrics
from training.candidate import Published, RunReference, build
from training.data import Dataset
from training.examples import build as build_examples
from training.examples import rows_of
from training.export import answers_of, compare
from training.pipeline import Measured
from training.publish import stored_object
from training.settings import Place, parse

SERVING = f"registry.test/serving@sha256:{'5' * 64}"


@cache
def weights(number: int) -> Layer:
    """Nearest centroid: good enough to pass the gates; each number gives other bytes."""
    rows = training_data().train
    pixels = rows.inputs["pixels"]
    means = np.stack([pixels[rows.target == label].mean(axis=0) for label in range(10)])
    scale = np.float32(1 / (60 + number))
    return Layer((2 * means * scale).T.astype(np.float32), (-(means**2).sum(axis=1) * scale).astype(np.float32))


@cache
def artefact(number: int) -> bytes:
    """What a training Job exports."""
    return to_onnx(weights(number), MODEL, "pixels", "scores")


Forge = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Training:
    """What a Job trains and publishes: the numbered network, on this data set, or another file than it measured."""

    number: int
    dataset: Dataset = field(default_factory=training_data)
    content: bytes | None = None
    run: str = "run-1"
    edit: Forge = lambda _: None

    @cached_property
    def answers(self) -> Mapping[str, Any]:
        return answers_of(artefact(self.number), training_model(), self.dataset.held_out.inputs)

    @property
    def stored(self) -> bytes:
        return self.content or artefact(self.number)

    @cached_property
    def examples(self) -> bytes:
        document = json.loads(build_examples(training_model(), self.dataset, self.answers))
        self.edit(document)
        return json.dumps(document).encode()

    def candidate(self, job: dict[str, Any]) -> dict[str, Any]:
        """What the Job writes, by training's own code."""
        container = job["spec"]["template"]["spec"]["containers"][0]
        place = Place(
            tracking_uri="http://tracking.test",
            bucket="models",
            job=job["metadata"]["name"],
            image=container["image"],
            commit=job["spec"]["template"]["metadata"]["annotations"][REVISION],
            device="cpu",
        )
        model, answers = training_model(), self.answers
        measured = metrics.measure(model.task, answers["scores"], self.dataset.held_out.target)
        gates = evaluation.apply_gates(model.gates, measured)
        return build(
            parse(model, container["args"]),
            place,
            self.dataset,
            Published(
                stored_object(MODEL, self.stored, "onnx"),
                stored_object(MODEL, self.examples, "json"),
                rows_of(self.dataset),
            ),
            RunReference(MODEL, self.run, str(self.number)),
            Measured(measured, [], {}, gates, compare(answers, answers)),
        )


@dataclass(frozen=True)
class Jobs(TrainingJobs):
    """Training Jobs in the cluster, that have written their candidates, artefacts and examples."""

    stores: MemoryStores
    bench: Bench
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    stated: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    templates: dict[str, dict[str, Any]] = field(default_factory=lambda: {MODEL: copy.deepcopy(TEMPLATE)})

    def release(self, job: str) -> str:
        return release.release(self.bench.session(), "dev", MODEL, job)

    def done(self, number: int, *, commit: str = "0123456", forge: Forge = lambda _: None, **more: Any) -> str:
        """The name of a Job that has published and stated what `forge` makes of its candidate."""
        template = copy.deepcopy(self.templates[MODEL])
        template["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = {"annotations": {REVISION: commit}}
        job = train._job(template, MODEL, [MODEL, "--seed", str(number), "--requirement", "REQ-1"])
        job["metadata"]["uid"] = f"uid-{number}"
        training = Training(number, **more)
        document = training.candidate(job)
        name: str = job["metadata"]["name"]
        self.jobs[name] = job | condition("Complete")
        self.stores.put("dev", document["artefact"]["key"], training.stored)
        self.stores.put("dev", document["examples"]["key"], training.examples)
        forge(document)
        self.stated[name] = [pod(job, self.put(name, document))]
        return name

    def put(self, name: str, document: dict[str, Any]) -> str:
        """Writes a candidate, as whoever has the store's key can; returns its digest."""
        content = json.dumps(document).encode()
        self.stores.put("dev", f"candidates/{MODEL}/{name}.json", content)
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def job(self, name: str) -> dict[str, Any] | None:
        return self.jobs.get(name)

    def template(self, model: str) -> dict[str, Any] | None:
        return self.templates.get(model)

    def pods(self, job: str) -> list[dict[str, Any]]:
        return self.stated[job]

    def document(self, job: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.stores.get("dev", f"candidates/{MODEL}/{job}.json"))
        return document


def pod(job: dict[str, Any], message: str, code: int = 0) -> dict[str, Any]:
    """A pod of the Job that has ended, with its termination message."""
    ended = {"terminated": {"exitCode": code, "message": message}}
    return {
        "metadata": {"ownerReferences": [{"kind": "Job", "uid": job["metadata"]["uid"]}]},
        "spec": copy.deepcopy(job["spec"]["template"]["spec"]),
        "status": {"containerStatuses": [{"name": "training", "state": ended}]},
    }


@pytest.fixture
def stores(bench: Bench) -> MemoryStores:
    made = MemoryStores({"dev": {}})
    bench.store = made.open
    return made


@pytest.fixture
def jobs(bench: Bench, stores: MemoryStores, pulumi: FakeEngine) -> Jobs:
    pulumi.known.add("dev")
    pulumi.stack_outputs = {"images": {"serving": SERVING, f"model-{MODEL}": IMAGE.replace("1", "9")}}
    bench.jobs = made = Jobs(FakeCluster().of("dev"), stores, bench)
    return made


@pytest.fixture
def store(project: Checkout) -> Releases:
    return Releases(project.root / "stacks" / "releases")


def hash_of(number: int) -> str:
    return hashlib.sha256(artefact(number)).hexdigest()


def refusal(job: str, jobs: Jobs, store: Releases) -> str:
    with pytest.raises(DeliveryError) as raised:
        jobs.release(job)
    assert store.ids(MODEL) == []
    return str(raised.value)
