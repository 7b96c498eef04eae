"""Workers that Kubeflow Trainer starts: the runtime that its TrainJobs name."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components.kit.custom import CustomResource
from components.kit.kubernetes import batch, meta
from components.kit.options import child

API = "trainer.kubeflow.org/v1alpha1"
CONTAINER = "node"
"""Name of the container, and of the replicated Job, that the Trainer gives torchrun's variables."""

# Which of the replicated Jobs is the one that trains.
_ROLE = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}


def trained_with(workers: int, processes: int) -> list[str]:
    """Return what starts in each pod, so many processes; own number and first pod are in torchrun's variables."""
    counts = (f"--nnodes={workers}", f"--nproc-per-node={processes}")
    return ["python", "-m", "torch.distributed.run", *counts, "-m", "training"]


def declare_runtime(
    name: str, title: str, namespace: pulumi.Input[str], job: batch.v1.JobSpecArgs, labels: Mapping[str, str],
    workers: int, processes: int, parent: pulumi.Resource,
) -> None:  # fmt: skip
    """Declare the runtime `title`: a set of one Job, with the pods of that template."""
    made: dict[str, Any] = {"metadata": {"labels": {**labels, **_ROLE}}, "spec": job}
    CustomResource(
        f"{name}-runtime",
        api_version=API,
        kind="TrainingRuntime",
        metadata=meta.v1.ObjectMetaArgs(name=title, namespace=namespace, labels=labels),
        spec={
            "mlPolicy": {"numNodes": workers, "torch": {"numProcPerNode": processes}},
            # A gate that is missed is missed again.
            "template": {
                "spec": {"failurePolicy": {"maxRestarts": 0}, "replicatedJobs": [{"name": CONTAINER, "template": made}]}
            },
        },
        opts=child(parent),
    )
