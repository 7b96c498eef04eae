"""KServe with plain Deployments, and the runtime that serves ONNX."""

import json
from typing import NotRequired, TypedDict

import pulumi

from components.kit import pods, ports
from components.kit.access import KeyPairArgs, PodResourcesArgs, key_pair_files
from components.kit.custom import CustomResource
from components.kit.kubernetes import core, meta, rbac, yaml
from components.kit.names import KSERVE_WEBHOOK, SERVING_RUNTIME
from components.kit.options import child
from components.kit.volumes import secret_volume
from components.kit.workload import Workload
from components.serving.controller_rollout import until_replaced
from components.serving.looks import kubectl
from components.serving.runtime import runtime
from components.serving.webhooks import declare_webhooks

_APP = "kserve-controller-manager"
# What the API server connects to.
_HTTPS = 443
_RBAC_API = "rbac.authorization.k8s.io"
_LEASES = "leader-election"
_DEFINITIONS = (
    "serving.kserve.io_clusterservingruntimes",
    "clusterstoragecontainer/serving.kserve.io_clusterstoragecontainers",
    "serving.kserve.io_inferencegraphs",
    "serving.kserve.io_inferenceservices",
    "serving.kserve.io_servingruntimes",
    "serving.kserve.io_trainedmodels",
)
_HELPER = {"image": "unused", "memoryRequest": "100Mi", "memoryLimit": "1Gi", "cpuRequest": "100m", "cpuLimit": "1"}
_CONFIG = {
    # Plain Deployments, by the word that every version knows: since KServe 0.16 it is Standard. In an upgrade the
    # settings come before the controller, and with the new word that of before would refuse every inference service.
    "deploy": {"defaultDeploymentMode": "RawDeployment"},
    "ingress": {
        # Required by the parser; the environment's own gateway routes to the predictor services.
        "ingressGateway": "none/none",
        "ingressDomain": "cluster.local",
        "disableIstioVirtualHost": True,
        "disableIngressCreation": True,
    },
    "security": {"autoMountServiceAccountToken": False},
    "storageInitializer": {**_HELPER, "enableDirectPvcVolumeMount": True},
    "logger": {**_HELPER, "defaultUrl": "http://default-broker"},
    "batcher": _HELPER,
    "agent": _HELPER,
    "router": _HELPER,
    "credentials": {},
    "explainers": {},
}


class KServeArgs(TypedDict):
    """Arguments of KServe."""

    namespace: pulumi.Input[str]
    """Namespace of the controller, which nobody has rights in: its token changes workloads in all others."""
    image: str
    """Image of the controller."""
    manifests: str
    """Folder with `crds/` and `rbac/role.yaml` of the same version."""
    runtime_image: pulumi.Input[str]
    """Image of the ONNX runtime; an inference service names its release's own."""
    tls: KeyPairArgs
    """TLS certificate of the webhook, and its key."""
    authority: pulumi.Input[str]
    """Certificate of the authority that signed it, PEM; the API server trusts no other here."""
    replicas: NotRequired[int]
    """Number of the controller's pods, of which one works; 2 when absent."""
    resources: NotRequired[PodResourcesArgs]
    """What each of them asks for; 25m and 192Mi when absent."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the pods' priority class; none when absent."""
    context: str
    """Context of the kubeconfig under which an update looks whether the controller was replaced."""


class KServe(pulumi.ComponentResource):
    """Definitions, controller, webhooks and the ClusterServingRuntime `stellwerk-onnx`."""

    runtime: pulumi.Output[str]
    """Name of the runtime, known once the controller is ready."""

    def __init__(self, name: str, args: KServeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:KServe", name, None, opts)
        folder, namespace = args["manifests"], args["namespace"]
        workload = Workload(name, _APP, namespace, self, args.get("priority_class"))
        definitions = yaml.v2.ConfigGroup(
            f"{name}-definitions",
            files=[f"{folder}/crds/{name}.yaml" for name in _DEFINITIONS],
            opts=child(self),
        )
        account = self._account(workload, folder)
        config = workload.config(
            {key: json.dumps(value, sort_keys=True) for key, value in _CONFIG.items()}, title="inferenceservice-config"
        )
        pod = _pod(args, account, workload.secret(key_pair_files(args["tls"]), "webhook", "kubernetes.io/tls"))
        # Both answer the webhooks, one of them works: it holds the lease.
        replicas = args.get("replicas", 2)
        waiting = child(self, [definitions, config])
        waiting.hooks = self._replaced(name, args)
        manager = workload.deployment(pods.template(_APP, pod), replicas=replicas, opts=waiting)
        if replicas > 1:
            workload.budget(min_available=1)
        # The API server asks it about the first object of these definitions, and refuses that while nobody answers.
        service = workload.service(_HTTPS, ports.KSERVE_WEBHOOK, title=KSERVE_WEBHOOK, wait=True)
        workload.allow([ports.KSERVE_WEBHOOK])
        webhooks = declare_webhooks(name, namespace, args["authority"], self, [manager, service])
        served = CustomResource(
            f"{name}-runtime",
            api_version="serving.kserve.io/v1alpha1",
            kind="ClusterServingRuntime",
            metadata=meta.v1.ObjectMetaArgs(name=SERVING_RUNTIME),
            spec=runtime(args["runtime_image"]),
            opts=child(self, [definitions, *webhooks]),
        )
        self.runtime = served.metadata["name"]
        self.register_outputs({"runtime": self.runtime})

    def _replaced(self, name: str, args: KServeArgs) -> pulumi.ResourceHookBinding:
        """Return the hook by which an update of the controller ends once its webhooks are the new pods' alone."""

        async def after(given: pulumi.ResourceHookArgs) -> None:
            run = kubectl(args["context"], (given.new_inputs or {})["metadata"]["namespace"])
            await until_replaced(_APP, run, lambda amiss: pulumi.log.warn(amiss, self))

        return pulumi.ResourceHookBinding(after_update=[pulumi.ResourceHook(f"{name}-replaced", after)])

    def _account(self, workload: Workload, folder: str) -> pulumi.Output[str]:
        """Declare the controller's service account with the rights that come with it; return its name."""
        account = workload.account(_APP, token=None)
        subject = rbac.v1.SubjectArgs(kind="ServiceAccount", name=account, namespace=workload.namespace)
        role = yaml.v2.ConfigGroup(f"{workload.name}-role", files=[f"{folder}/rbac/role.yaml"], opts=child(self))
        rbac.v1.ClusterRoleBinding(
            f"{workload.name}-binding",
            metadata=meta.v1.ObjectMetaArgs(name="kserve-manager-rolebinding"),
            role_ref=rbac.v1.RoleRefArgs(api_group=_RBAC_API, kind="ClusterRole", name="kserve-manager-role"),
            subjects=[subject],
            opts=child(self, [role]),
        )
        self._leases(workload, subject)
        return account

    def _leases(self, workload: Workload, subject: rbac.v1.SubjectArgs) -> None:
        """Declare the rights to the Lease that says which of the replicas works."""
        metadata = meta.v1.ObjectMetaArgs(name=_LEASES, namespace=workload.namespace)
        rule = rbac.v1.PolicyRuleArgs(
            api_groups=["coordination.k8s.io"], resources=["leases"], verbs=["create", "get", "update"]
        )
        rbac.v1.Role(f"{workload.name}-leases", metadata=metadata, rules=[rule], opts=child(self))
        rbac.v1.RoleBinding(
            f"{workload.name}-leases-binding",
            metadata=metadata,
            role_ref=rbac.v1.RoleRefArgs(api_group=_RBAC_API, kind="Role", name=_LEASES),
            subjects=[subject],
            opts=child(self),
        )


def _pod(args: KServeArgs, account: pulumi.Input[str], secret: pulumi.Input[str]) -> core.v1.PodSpecArgs:
    asked = args.get("resources", {"cpu": "25m", "memory": "192Mi"})
    manager = pods.container(
        "manager",
        args["image"],
        pods.resources(asked["cpu"], asked["memory"]),
        [pods.mount("cert", "/tmp/k8s-webhook-server/serving-certs", read_only=True)],  # noqa: S108
        args=["--leader-elect"],
        env=[pods.field_env("POD_NAMESPACE", "metadata.namespace")],
        readiness=pods.http_probe("/readyz", ports.KSERVE_HEALTH),
        liveness=pods.http_probe("/healthz", ports.KSERVE_HEALTH),
    )
    pod = pods.pod([manager], [secret_volume("cert", secret)], account=account, grace_seconds=10)
    pod.topology_spread_constraints = pods.spread({"app": _APP})
    # It works through the API server.
    pod.automount_service_account_token = None
    return pod
