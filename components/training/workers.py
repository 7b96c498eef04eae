"""Several pods that train one model: how they find and reach one another, and what starts in each."""

from collections.abc import Mapping

import pulumi

from components.kit import pods
from components.kit.kubernetes import core, meta, networking
from components.kit.options import child
from components.kit.ports import WORKERS

_FIRST = "STELLWERK_FIRST_WORKER"


def starts(service: str, workers: int, processes: int) -> tuple[list[str], list[core.v1.EnvVarArgs]]:
    """Return command and variables by which torchrun trains in a pod of an Indexed Job, in so many processes each."""
    # Its pods are called after the Job and their number: the first one is where all others meet.
    first = pods.env({_FIRST: f"$(JOB_NAME)-0.{service}"})
    command = [
        "python", "-m", "torch.distributed.run", f"--nnodes={workers}", f"--nproc-per-node={processes}",
        "--node-rank=$(JOB_COMPLETION_INDEX)", f"--master-addr=$({_FIRST})", f"--master-port={WORKERS}",
        "-m", "training",
    ]  # fmt: skip
    return command, first


def declare_service(
    name: str, service: str, namespace: pulumi.Input[str], labels: Mapping[str, str], parent: pulumi.Resource
) -> None:
    """Declare the headless Service by which pods with these labels find one another."""
    core.v1.Service(
        f"{name}-workers",
        metadata=meta.v1.ObjectMetaArgs(
            name=service, namespace=namespace, annotations={"pulumi.com/skipAwait": "true"}
        ),
        spec=core.v1.ServiceSpecArgs(
            cluster_ip="None",
            selector=labels,
            # They meet before the first of them is ready.
            publish_not_ready_addresses=True,
            ports=[core.v1.ServicePortArgs(port=WORKERS)],
        ),
        opts=child(parent),
    )


def declare_policy(
    name: str, service: str, namespace: pulumi.Input[str], labels: Mapping[str, str], parent: pulumi.Resource
) -> None:
    """Declare that pods with these labels may connect: NCCL and gloo listen on ports of their own choice."""
    own = meta.v1.LabelSelectorArgs(match_labels=labels)
    peers = [networking.v1.NetworkPolicyPeerArgs(pod_selector=own)]
    networking.v1.NetworkPolicy(
        f"{name}-between-workers",
        metadata=meta.v1.ObjectMetaArgs(name=f"allow-{service}-workers", namespace=namespace),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=own,
            policy_types=["Ingress"],
            ingress=[networking.v1.NetworkPolicyIngressRuleArgs(from_=peers)],
        ),
        opts=child(parent),
    )
