"""Kinds of the cluster's API that somebody else brings, and which of them values stand on."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from infra.contract.problems import KeyPath, Problem


@dataclass(frozen=True)
class Kind:
    """A definition that something optional stands on: its name, the version used, what for, how to get it."""

    title: str
    name: str
    version: str
    purpose: str
    how: str

    @property
    def api(self) -> str:
        """Return group and version, as the cluster lists them."""
        return f"{self.name.partition('.')[2]}/{self.version}"


@dataclass(frozen=True)
class KindNeed:
    """Kinds that a value stands on: its key, the value; and what brings them, where that is not to install each."""

    path: KeyPath
    given: str
    kinds: tuple[Kind, ...]
    brought: str = ""

    @property
    def key(self) -> str:
        """Return the key as messages name it."""
        return ".".join(str(step) for step in self.path)


GATEWAY_API = Kind(
    "Gateway API", "gateways.gateway.networking.k8s.io", "v1", "a gateway of the cluster's own",
    "the standard channel of kubernetes-sigs/gateway-api",
)  # fmt: skip
KARPENTER = Kind(
    "Karpenter", "nodepools.karpenter.sh", "v1", "node pools that come and go", "the chart karpenter",
)  # fmt: skip
EC2_NODES = Kind(
    "Karpenter on EC2", "ec2nodeclasses.karpenter.k8s.aws", "v1", "elastic pools of the provider ec2",
    "the chart karpenter",
)  # fmt: skip
KWOK_NODES = Kind(
    "Karpenter by kwok", "kwoknodeclasses.karpenter.kwok.sh", "v1alpha1", "elastic pools of the provider kwok",
    "the kwok provider of kubernetes-sigs/karpenter",
)  # fmt: skip
ECK = Kind(
    "ECK", "elasticsearches.elasticsearch.k8s.elastic.co", "v1", "a log store by ECK", "the chart eck-operator"
)  # fmt: skip
KEDA = Kind("KEDA", "scaledobjects.keda.sh", "v1alpha1", "models that scale to zero", "the chart keda")
GPU_OPERATOR = Kind(
    "GPU operator", "clusterpolicies.nvidia.com", "v1", "drivers that it installs", "the chart gpu-operator"
)  # fmt: skip
CERT_MANAGER = Kind(
    "cert-manager", "certificates.cert-manager.io", "v1", "certificates of the cluster's own issuer",
    "the chart cert-manager",
)  # fmt: skip
TRAINER = Kind(
    "Kubeflow Trainer", "trainjobs.trainer.kubeflow.org", "v1alpha1", "distributed training as TrainJobs",
    "the manifests of kubeflow/trainer",
)  # fmt: skip
OPTIONAL = (GATEWAY_API, KARPENTER, EC2_NODES, KWOK_NODES, ECK, KEDA, GPU_OPERATOR, CERT_MANAGER, TRAINER)


def absent(needs: Iterable[KindNeed], served: Collection[str], context: str, environment: str) -> Iterator[Problem]:
    """Yield the values that stand on what the cluster of a context does not serve; `served` are groups and versions."""
    for need in needs:
        lacking = [kind for kind in need.kinds if kind.api not in served]
        if lacking:
            names = " and ".join(f"{kind.name} {kind.version}" for kind in lacking)
            how = " and ".join(dict.fromkeys(kind.how for kind in lacking))
            yield Problem(
                need.path, need.given, f"what the cluster of the context {context} knows; it lacks {names}",
                need.brought or f"install {how}, or change the value; `stellwerk doctor --target {environment}` looks "
                "for all that the cluster may lack",
            )  # fmt: skip
