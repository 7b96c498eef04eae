"""Which custom resources a cluster knows, in which versions: KServe's, which are needed, and those of choice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.kit.names import SERVING_RUNTIME
from delivery.clients.cluster_api import ClusterApi
from delivery.operations.target_findings import Finding, Verdict
from infra.contract.environment import KSERVE, Environment
from infra.services import gpu_operator
from infra.services.gateway.section import GatewayMode, section_of
from infra.services.kserve import OLDEST, installed
from infra.services.logging.section import LogMode
from infra.services.logging.section import section as logs
from infra.services.node_pools import Kind as PoolKind
from infra.services.node_pools import pools

_CONTROLLER = "kserve-controller-manager"
_INFERENCE_SERVICES = "inferenceservices.serving.kserve.io"

Definitions = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Kind:
    """A definition that something optional stands on: its name, the version used, what for, how to get it."""

    title: str
    name: str
    version: str
    purpose: str
    how: str

    def finding(self, known: Definitions, needed: str) -> Finding:
        """Return whether the cluster has it in this version; `needed` is the key of the values that needs it."""
        served = known.get(self.name)
        if needed and self.version not in (served or ()):
            detail = f"{needed} needs {self.name} {self.version}"
            return Finding(self.title, Verdict.MISSING, detail, f"install {self.how}, or change {needed}")
        if served is None:
            return Finding(self.title, Verdict.ABSENT, f"needed for {self.purpose} alone", self.how)
        if self.version not in served:
            detail = f"serves {', '.join(served)}, not {self.version}"
            return Finding(self.title, Verdict.NOTE, detail, f"upgrade it before you use {self.purpose}")
        return Finding(self.title, Verdict.OK, f"serves {', '.join(served)}")


OPTIONAL = (
    Kind("Gateway API", "gateways.gateway.networking.k8s.io", "v1", "a gateway of the cluster's own",
         "the standard channel of kubernetes-sigs/gateway-api"),
    Kind("Karpenter", "nodepools.karpenter.sh", "v1", "node pools that come and go", "the chart karpenter"),
    Kind("ECK", "elasticsearches.elasticsearch.k8s.elastic.co", "v1", "a log store by ECK", "the chart eck-operator"),
    Kind("KEDA", "scaledobjects.keda.sh", "v1alpha1", "models that scale to zero", "the chart keda"),
    Kind("GPU operator", "clusterpolicies.nvidia.com", "v1", "drivers that it installs", "the chart gpu-operator"),
    Kind("cert-manager", "certificates.cert-manager.io", "v1", "certificates of the cluster's own issuer",
         "the chart cert-manager"),
    Kind("Kubeflow Trainer", "trainjobs.trainer.kubeflow.org", "v1alpha1", "distributed training as TrainJobs",
         "the manifests of kubeflow/trainer"),
)  # fmt: skip


def needed(environment: Environment) -> Mapping[str, str]:
    """Return the titles of definitions that the values stand on, with the keys that say so."""
    keys = {
        "Karpenter": ("nodePools", any(pool.made_by is PoolKind.ELASTIC for pool in pools(environment))),
        "GPU operator": ("gpuOperator.mode", gpu_operator.stands_on(environment)),
        "Kubeflow Trainer": ("cluster.trainer", environment.cluster.trainer),
        "ECK": ("logging.mode", logs(environment).mode is LogMode.ECK),
        "KEDA": ("autoscaler.keda", environment.autoscaler.keda is not None),
        "Gateway API": ("gateway.mode", section_of(environment).mode is GatewayMode.GATEWAY_API),
    }
    return {title: key for title, (key, stands) in keys.items() if stands}


def definitions(api: ClusterApi) -> Definitions:
    """Return the served versions of each custom resource by its name."""
    answer = api.read("/apis/apiextensions.k8s.io/v1/customresourcedefinitions") or {}
    return {
        each["metadata"]["name"]: tuple(version["name"] for version in each["spec"]["versions"] if version["served"])
        for each in answer.get("items", [])
    }


def kserve(api: ClusterApi, environment: Environment, known: Definitions) -> Finding:
    """Return whether KServe is there where somebody else runs it, and not there where this environment does."""
    controllers = _controllers(api)
    own = environment.namespace(KSERVE)
    others = {namespace: version for namespace, version in controllers.items() if namespace != own}
    if not environment.cluster.shared:
        if others or (_INFERENCE_SERVICES in known and own not in controllers):
            place = ", ".join(others) or "no namespace any more, but its definitions"
            fix = "set cluster.shared: true to use it, or have its owner remove it"
            return Finding("KServe", Verdict.BLOCKED, f"somebody else's is in {place}", fix)
        return Finding("KServe", Verdict.OK, f"this environment installs {installed(environment)}")
    if _INFERENCE_SERVICES not in known:
        fix = "apply the environment that owns the cluster (cluster.shared: false) first"
        return Finding("KServe", Verdict.MISSING, "the cluster does not know inference services", fix)
    if api.read(f"/apis/serving.kserve.io/v1alpha1/clusterservingruntimes/{SERVING_RUNTIME}") is None:
        fix = "apply the environment that owns the cluster, or have its owner make this runtime"
        return Finding("KServe", Verdict.MISSING, f"no ClusterServingRuntime {SERVING_RUNTIME}", fix)
    return _versions(environment, sorted(set(controllers.values())))


def _versions(environment: Environment, versions: list[str]) -> Finding:
    wanted = installed(environment)
    if not versions or not all(each.replace(".", "").isdigit() for each in versions):
        fix = f"see that it is {wanted}, or say in kserve.version which one it is"
        return Finding("KServe", Verdict.UNKNOWN, "its controller's image names no version", fix)
    if any(tuple(map(int, each.split(".")))[:2] < OLDEST for each in versions):
        oldest = ".".join(map(str, OLDEST))
        return Finding("KServe", Verdict.OLD, ", ".join(versions), f"have its owner upgrade it to {oldest} or newer")
    if versions != [wanted]:
        text = f"{', '.join(versions)}; the values say {wanted}"
        return Finding("KServe", Verdict.BLOCKED, text, f"set kserve.version: {versions[-1]}")
    return Finding("KServe", Verdict.OK, wanted)


def _controllers(api: ClusterApi) -> dict[str, str]:
    """Return by namespace which version of KServe's controller runs there, by its image's tag."""
    path = f"/apis/apps/v1/deployments?fieldSelector=metadata.name%3D{_CONTROLLER}"
    deployments: dict[str, Any] = api.read(path) or {}
    return {
        each["metadata"]["namespace"]: each["spec"]["template"]["spec"]["containers"][0]["image"]
        .partition("@")[0].rpartition("/")[2].rpartition(":")[2].lstrip("v")
        for each in deployments.get("items", [])
    }  # fmt: skip
