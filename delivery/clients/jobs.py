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
