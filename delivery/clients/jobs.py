"""Training Jobs, their templates and their pods, as the API server has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.kit.names import MODEL_LABEL
from delivery.clients.kubectl import Kubectl
from infra.values import TRAINING

Object = dict[str, Any]

# What the Job controller writes on pods of which each has a number.
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"


# Kubeflow Trainer calls the Job of a TrainJob after it, and gives its container these variables of torchrun's.
_TRAINER_JOB = "-node-0"
TRAINER_VARIABLES = frozenset(
    f"PET_{name}" for name in ("NNODES", "NPROC_PER_NODE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
)
_TRAIN_JOB = "trainjob.trainer.kubeflow.org"


def job_of(train_job: str) -> str:
    """Return the name of the Job that Kubeflow Trainer makes of a TrainJob."""
    return train_job + _TRAINER_JOB


def train_job_of(job: str) -> str | None:
    """Return the name of the TrainJob that a Job is made of; None of one that Kubeflow Trainer has not made."""
    return job.removesuffix(_TRAINER_JOB) if job.endswith(_TRAINER_JOB) else None


def owner_of(job: str) -> tuple[str, str]:
    """Return kind and name of the object to delete for a Job to be gone: without the TrainJob it would come back."""
    train_job = train_job_of(job)
    return ("job", job) if train_job is None else (_TRAIN_JOB, train_job)


@dataclass(frozen=True)
class TrainingJobs:
    """The training namespace of an environment."""

    kubectl: Kubectl

    @property
    def environment(self) -> str:
        """Return the environment's name."""
        return self.kubectl.environment

    @property
    def namespace(self) -> str:
        """Return the namespace of the Jobs."""
        return self.kubectl.namespace(TRAINING)

    def job(self, name: str) -> Object | None:
        """Return a Job, None when it does not exist."""
        return self.kubectl.get(self.namespace, "job", name)

    def train_job(self, job: str) -> Object | None:
        """Return the TrainJob that a Job is made of, or is to be; None where there is none."""
        kind, name = owner_of(job)
        return self.kubectl.get(self.namespace, kind, name) if kind == _TRAIN_JOB else None

    def remove(self, job: str) -> None:
        """Delete a Job with its pods, and what has made it; return when all of them are gone."""
        kind, name = owner_of(job)
        # What it owns first: one that is made again has its name.
        words = ("--cascade=foreground",) if kind == _TRAIN_JOB else ()
        self.kubectl.run("--namespace", self.namespace, "delete", kind, name, *words, "--wait")

    def of(self, model: str) -> list[str]:
        """Return the names of a model's Jobs."""
        jobs = self.kubectl.objects(
            "--namespace", self.namespace, "get", "jobs", "--selector", f"{MODEL_LABEL}={model}"
        )
        return [str(job["metadata"]["name"]) for job in jobs]

    def delete(self, names: Sequence[str]) -> None:
        """Delete Jobs with their pods; one that is gone already is no error."""
        self.kubectl.run("--namespace", self.namespace, "delete", "jobs", *names, "--ignore-not-found", "--wait")

    def template(self, model: str) -> Object | None:
        """Return the template of a model's Jobs, None when it does not exist."""
        return self.kubectl.get(self.namespace, "cronjob", f"train-{model}")

    def pods(self, job: str) -> list[Object]:
        """Return the pods that carry the Job's name."""
        selector = f"batch.kubernetes.io/job-name={job}"
        return self.kubectl.objects("--namespace", self.namespace, "get", "pods", "--selector", selector)


def first_worker(pod: Object) -> bool:
    """Return whether a pod is the one that publishes: of several workers the first."""
    return str(pod["metadata"].get("labels", {}).get(INDEX_LABEL, "0")) == "0"


def stated_digest(job: Object, pods: list[Object]) -> str | None:
    """Return the digest that the Job's own succeeded pod stated as its termination message, None without such a pod.

    Only the kubelet writes it: whoever has the object store's key cannot.
    """
    container = job["spec"]["template"]["spec"]["containers"][0]
    for pod in pods:
        if not first_worker(pod):
            continue
        owners = [owner.get("uid") for owner in pod["metadata"].get("ownerReferences", [])]
        # A cluster may pull through a mirror: the digest stays.
        ran, wanted = (item["image"].partition("@")[2] for item in (pod["spec"]["containers"][0], container))
        if job["metadata"]["uid"] not in owners or ran != wanted:
            continue
        for status in pod.get("status", {}).get("containerStatuses", []):
            ended = status.get("state", {}).get("terminated") or {}
            if status["name"] == container["name"] and ended.get("exitCode") == 0:
                return str(ended.get("message", "")).strip()
    return None
