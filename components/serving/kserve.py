"""KServe in raw deployment mode, with the runtime that serves ONNX."""

import base64
import json
from typing import TypedDict

import pulumi
from pulumi_kubernetes import admissionregistration, apiextensions, apps, core, meta, policy, rbac, yaml

from components.kit import pods
from components.kit.access import KeyPairArgs
from components.kit.names import KSERVE_WEBHOOK

RUNTIME = "stellwerk-onnx"

_APP = "kserve-controller-manager"
_PORT = 9443
_HEALTH = 8081
_MODEL_PORT = 8080
DRAIN_SECONDS = 5
_DEFINITIONS = (
    "clusterservingruntimes",
    "clusterstoragecontainers",
    "inferencegraphs",
    "inferenceservices",
    "servingruntimes",
    "trainedmodels",
)
_HELPER = {"image": "unused", "memoryRequest": "100Mi", "memoryLimit": "1Gi", "cpuRequest": "100m", "cpuLimit": "1"}
_CONFIG = {
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


class KServe(pulumi.ComponentResource):
    """Definitions, controller, webhooks and the ClusterServingRuntime `stellwerk-onnx`.

    KServe's webhook for pods is not installed: for ours it does nothing but add two empty annotations, and while the
    controller is away no pod of any environment could be replaced.
    """

    runtime: pulumi.Output[str]
    """Name of the runtime, known once the controller is ready."""

    def __init__(self, name: str, args: KServeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:KServe", name, None, opts)
        folder, namespace = args["manifests"], args["namespace"]
        definitions = yaml.v2.ConfigGroup(
            f"{name}-definitions",
            files=[f"{folder}/crds/serving.kserve.io_{kind}.yaml" for kind in _DEFINITIONS],
            opts=pods.child(self),
        )
        account = self._account(name, folder, namespace)
        config = core.v1.ConfigMap(
            f"{name}-config",
            metadata=meta.v1.ObjectMetaArgs(name="inferenceservice-config", namespace=namespace),
            data={key: json.dumps(value, sort_keys=True) for key, value in _CONFIG.items()},
            opts=pods.child(self),
        )
        secret = core.v1.Secret(
            f"{name}-webhook",
            metadata=meta.v1.ObjectMetaArgs(namespace=namespace),
            type="kubernetes.io/tls",
            string_data={"tls.crt": args["tls"]["certificate"], "tls.key": args["tls"]["key"]},
            opts=pods.child(self),
        )
        manager = apps.v1.Deployment(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            spec=apps.v1.DeploymentSpecArgs(
                # Both answer the webhooks, one of them works: it holds the lease.
                replicas=2,
                selector=meta.v1.LabelSelectorArgs(match_labels={"app": _APP}),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=meta.v1.ObjectMetaArgs(labels={"app": _APP}),
                    spec=self._pod(args["image"], account, secret.metadata.name),
                ),
            ),
            opts=pods.child(self, [definitions, config]),
        )
        policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            spec=policy.v1.PodDisruptionBudgetSpecArgs(
                min_available=1, selector=meta.v1.LabelSelectorArgs(match_labels={"app": _APP})
            ),
            opts=pods.child(self),
        )
        service = core.v1.Service(
            f"{name}-service",
            metadata=meta.v1.ObjectMetaArgs(name=KSERVE_WEBHOOK, namespace=namespace),
            spec=core.v1.ServiceSpecArgs(
                selector={"app": _APP}, ports=[core.v1.ServicePortArgs(port=443, target_port=_PORT)]
            ),
            opts=pods.child(self),
        )
        pods.allow_ingress(f"{name}-ingress", namespace, _APP, _PORT, None, pods.child(self))
        hooks = self._webhooks(name, namespace, args["authority"], [manager, service])
        runtime = apiextensions.CustomResource(
            f"{name}-runtime",
            api_version="serving.kserve.io/v1alpha1",
            kind="ClusterServingRuntime",
            metadata=meta.v1.ObjectMetaArgs(name=RUNTIME),
            spec=_runtime(args["runtime_image"]),
            opts=pods.child(self, [definitions, *hooks]),
        )
        self.runtime = runtime.metadata["name"]
        self.register_outputs({"runtime": self.runtime})

    def _account(self, name: str, folder: str, namespace: pulumi.Input[str]) -> pulumi.Output[str]:
        account = core.v1.ServiceAccount(
            f"{name}-account",
            metadata=meta.v1.ObjectMetaArgs(name=_APP, namespace=namespace),
            opts=pods.child(self),
        )
        role = yaml.v2.ConfigGroup(f"{name}-role", files=[f"{folder}/rbac/role.yaml"], opts=pods.child(self))
        rbac.v1.ClusterRoleBinding(
            f"{name}-binding",
            metadata=meta.v1.ObjectMetaArgs(name="kserve-manager-rolebinding"),
            role_ref=rbac.v1.RoleRefArgs(
                api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="kserve-manager-role"
            ),
            subjects=[rbac.v1.SubjectArgs(kind="ServiceAccount", name=account.metadata.name, namespace=namespace)],
            opts=pods.child(self, [role]),
        )
        self._leases(name, namespace, account.metadata.name)
        found: pulumi.Output[str] = account.metadata.name
        return found

    def _leases(self, name: str, namespace: pulumi.Input[str], account: pulumi.Input[str]) -> None:
        """Which of the replicas works stands in a Lease beside them."""
        metadata = meta.v1.ObjectMetaArgs(name="leader-election", namespace=namespace)
        rbac.v1.Role(
            f"{name}-leases",
            metadata=metadata,
            rules=[
                rbac.v1.PolicyRuleArgs(
                    api_groups=["coordination.k8s.io"], resources=["leases"], verbs=["create", "get", "update"]
                )
            ],
            opts=pods.child(self),
        )
        rbac.v1.RoleBinding(
            f"{name}-leases-binding",
            metadata=metadata,
            role_ref=rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name="leader-election"),
            subjects=[rbac.v1.SubjectArgs(kind="ServiceAccount", name=account, namespace=namespace)],
            opts=pods.child(self),
        )

    def _pod(self, image: str, account: pulumi.Input[str], secret: pulumi.Input[str]) -> core.v1.PodSpecArgs:
        namespace = core.v1.ObjectFieldSelectorArgs(field_path="metadata.namespace")
        return core.v1.PodSpecArgs(
            security_context=pods.RESTRICTED_POD,
            service_account_name=account,
            termination_grace_period_seconds=10,
            containers=[
                core.v1.ContainerArgs(
                    name="manager",
                    image=image,
                    args=["--leader-elect"],
                    env=[
                        core.v1.EnvVarArgs(
                            name="POD_NAMESPACE", value_from=core.v1.EnvVarSourceArgs(field_ref=namespace)
                        )
                    ],
                    security_context=pods.RESTRICTED_CONTAINER,
                    resources=pods.resources("25m", "192Mi"),
                    readiness_probe=core.v1.ProbeArgs(
                        http_get=core.v1.HTTPGetActionArgs(path="/readyz", port=_HEALTH), period_seconds=2
                    ),
                    volume_mounts=[pods.mount("cert", "/tmp/k8s-webhook-server/serving-certs", read_only=True)],  # noqa: S108
                )
            ],
            volumes=[pods.secret_volume("cert", secret)],
        )

    def _webhooks(
        self,
        name: str,
        namespace: pulumi.Input[str],
        authority: pulumi.Input[str],
        depends_on: list[pulumi.Resource],
    ) -> list[pulumi.Resource]:
        bundle = pulumi.Output.from_input(authority).apply(lambda pem: base64.b64encode(pem.encode()).decode())
        rule = admissionregistration.v1.RuleWithOperationsArgs(
            api_groups=["serving.kserve.io"],
            api_versions=["v1beta1"],
            operations=["CREATE", "UPDATE"],
            resources=["inferenceservices"],
        )

        def client(path: str) -> admissionregistration.v1.WebhookClientConfigArgs:
            return admissionregistration.v1.WebhookClientConfigArgs(
                ca_bundle=bundle,
                service=admissionregistration.v1.ServiceReferenceArgs(
                    name=KSERVE_WEBHOOK, namespace=namespace, path=path
                ),
            )

        title = meta.v1.ObjectMetaArgs(name="inferenceservice.serving.kserve.io")
        mutating = admissionregistration.v1.MutatingWebhookConfiguration(
            f"{name}-mutating",
            metadata=title,
            webhooks=[
                admissionregistration.v1.MutatingWebhookArgs(
                    name="inferenceservice.kserve-webhook-server.defaulter",
                    client_config=client("/mutate-serving-kserve-io-v1beta1-inferenceservice"),
                    failure_policy="Fail",
                    side_effects="None",
                    admission_review_versions=["v1beta1"],
                    rules=[rule],
                ),
            ],
            opts=pods.child(self, depends_on),
        )
        validating = admissionregistration.v1.ValidatingWebhookConfiguration(
            f"{name}-validating",
            metadata=title,
            webhooks=[
                admissionregistration.v1.ValidatingWebhookArgs(
                    name="inferenceservice.kserve-webhook-server.validator",
                    client_config=client("/validate-serving-kserve-io-v1beta1-inferenceservice"),
                    failure_policy="Fail",
                    side_effects="None",
                    admission_review_versions=["v1beta1"],
                    rules=[rule],
                )
            ],
            opts=pods.child(self, depends_on),
        )
        return [mutating, validating]


def _runtime(image: pulumi.Input[str]) -> pulumi.Inputs:
    """Spec of the ClusterServingRuntime; custom resources are written in the API's own spelling."""

    def probe(path: str, period: int, timeout: int, failures: int) -> dict[str, object]:
        get = {"path": path, "port": _MODEL_PORT}
        return {"httpGet": get, "periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": failures}

    return {
        "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v2"],
        "multiModel": False,
        "containers": [
            {
                "name": "kserve-container",
                "image": image,
                "env": [{"name": "DRAIN_SECONDS", "value": str(DRAIN_SECONDS)}],
                "ports": [{"containerPort": _MODEL_PORT, "protocol": "TCP"}],
                # A large model is loaded for as long as this allows; the other probes begin afterwards.
                "startupProbe": probe("/v2/health/live", 1, 3, 900),
                "readinessProbe": probe("/v2/health/ready", 2, 3, 3),
                # A server that hangs is started anew after a minute, without a drain; one that computes answers.
                "livenessProbe": {**probe("/v2/health/live", 10, 10, 6), "terminationGracePeriodSeconds": 5},
                # An inference service names its model's own.
                "resources": {
                    "requests": {"cpu": "50m", "memory": "512Mi"},
                    "limits": {"cpu": "2", "memory": "512Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "runAsNonRoot": True,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "volumeMounts": [
                    {"name": "model", "mountPath": "/mnt/models", "readOnly": True},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                ],
            }
        ],
        "volumes": [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
