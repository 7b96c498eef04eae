"""A cluster that only remembers: the template of a model, its training Jobs, and what kubectl is asked."""

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.kit.names import REVISION
from delivery.clients.jobs import job_of
from delivery.errors import DeliveryError
from delivery.operations import train
from delivery.session import Session
from tests.support.session import Bench, Words

IMAGE = f"registry.test/model-digits@sha256:{'1' * 64}"
LABELS = {"app": "training", "stellwerk.dev/model": "digits"}
TEMPLATE = {
    "spec": {
        "suspend": True,
        "jobTemplate": {
            "metadata": {"labels": LABELS},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": {"annotations": {REVISION: "0123456"}},
                    "spec": {
                        "containers": [
                            {
                                "name": "training",
                                "image": IMAGE,
                                "args": ["digits"],
                                "env": [{"name": "TRAINING_IMAGE", "value": IMAGE}],
                            }
                        ],
                    },
                },
            },
        },
    }
}


def condition(kind: str, **more: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": "True", **more}]}}


@dataclass
class Cluster:
    """Jobs by name, and what was asked of kubectl."""

    template: dict[str, Any] | None = field(default_factory=lambda: copy.deepcopy(TEMPLATE))
    model: str = "digits"
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    train_jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    log: str = ""
    pods: list[dict[str, Any]] = field(default_factory=list)
    # By kind and name.
    events: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    quotas: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)
    environment: str = "dev"
    bench: Bench | None = None

    def of(self, environment: str) -> "Cluster":
        assert environment == "dev"
        return self

    def namespace(self, purpose: str) -> str:
        return f"{self.environment}-{purpose}"

    def session(self) -> Session:
        assert self.bench is not None
        return self.bench.session()

    def get(self, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
        assert namespace == "dev-training"
        if kind == "cronjob":
            assert name == f"train-{self.model}"
            return copy.deepcopy(self.template)
        return self.train_jobs.get(name) if kind.startswith("trainjob") else self.jobs.get(name)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        if arguments[:2] != ("--namespace", "dev-training"):
            return self._everywhere(arguments)
        match arguments[2:]:
            case ("create", "-f", "-"):
                assert stdin is not None
                self.created.append(json.loads(stdin))
                job = self.created[-1]
                name = job["metadata"]["name"]
                if job["kind"] == "TrainJob":
                    self.train_jobs[name] = job
                    return ""
                self.jobs[name] = {"metadata": {"name": name, "uid": "this"}, "spec": job["spec"], "status": {}}
            case ("delete", "job", name, "--wait"):
                self.deleted.append(name)
                del self.jobs[name]
            case ("delete", kind, name, "--cascade=foreground", "--wait") if kind.startswith("trainjob"):
                self.deleted.append(name)
                del self.train_jobs[name]
                self.jobs.pop(job_of(name), None)
            case ("logs", _, "--tail=-1"):
                if not self.log:
                    raise DeliveryError("the container has not started")
                return self.log
            case ("get", "pods", "--selector", _, "-o", "json"):
                return json.dumps({"items": self.pods})
            case ("get", "pods", "--namespace", "dev-training", "-o", "json"):
                return json.dumps({"items": self.others})
            case ("get", "events", "--field-selector", selector, "-o", "json"):
                kind, name = (part.partition("=")[2] for part in selector.split(","))
                return json.dumps({"items": self.events.get((kind, name), [])})
            case ("get", "resourcequotas", "-o", "json"):
                return json.dumps({"items": self.quotas})
            case _:
                raise AssertionError(f"kubectl {' '.join(arguments)}: not expected")
        return ""

    def _everywhere(self, arguments: tuple[str, ...]) -> str:
        match arguments:
            case ("get", "nodes", "-o", "json"):
                return json.dumps({"items": self.nodes})
            case ("get", "pods", *_, "-o", "json"):
                return json.dumps({"items": self.others})
            case _:
                raise AssertionError(f"kubectl {' '.join(arguments)}: not expected")


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(autouse=True)
def opened(cluster: Cluster, bench: Bench) -> None:
    """Sessions know this cluster, and it knows them."""
    cluster.bench = bench


def start(
    cluster: Cluster, words: Words, *parameters: str, requirements: tuple[str, ...] = (), model: str = "digits"
) -> str:
    return train.train(cluster.session(), "dev", model, parameters, requirements, words.console)
