"""One served model."""

from typing import NotRequired, TypedDict

import pulumi
from pulumi_kubernetes import apiextensions, meta, networking

from components import pods
from components.kserve import DRAIN_SECONDS
from components.node_pool import GPU, POOL_LABEL

PORT = 8080


class InferenceServiceArgs(TypedDict):
    """Arguments of InferenceService."""

    namespace: pulumi.Input[str]
    """Namespace of the pods."""
    environment: str
    """Name of the environment, for the log."""
    model: str
    """Name of the model."""
    release: str
    """Release id; the endpoint answers with it."""
    run_id: str
    """Tracking run, for the log."""
    image: str
    """Serving image by digest."""
    pull_secret: pulumi.Input[str]
    """Name of the Secret with the registry login."""
    runtime: pulumi.Input[str]
    """Name of the ClusterServingRuntime."""
    bucket: str
    """Bucket of the artefact."""
    artefact_key: str
    """Key of the artefact."""
    artefact_digest: str
    """Digest of the artefact; another one is not served."""
    s3_endpoint: pulumi.Input[str]
    """URL of the object store."""
    access_key: pulumi.Input[str]
    """S3 access key."""
    secret_key: pulumi.Input[str]
    """S3 secret key."""
    ca_certificate: pulumi.Input[str]
    """CA of the object store, PEM."""
    clients: pulumi.Input[str]
    """Namespace whose pods may connect."""
    replicas: int
    """Number of pods."""
    node_pool: NotRequired[str | None]
    """Node pool the pods run on; any node when absent."""


class InferenceService(pulumi.ComponentResource):
    """A KServe InferenceService whose pods fetch one artefact, verify its digest and serve it."""

    url: pulumi.Output[str]
    """Base URL inside the cluster, known once the service is ready."""

    def __init__(self, name: str, args: InferenceServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:InferenceService", name, None, opts)
        namespace, model = args["namespace"], args["model"]
        secret = pods.store_secret(
            f"{name}-secret",
            namespace,
            (args["access_key"], args["secret_key"], args["ca_certificate"]),
            pods.child(self),
        )
        service = apiextensions.CustomResource(
            name,
            api_version="serving.kserve.io/v1beta1",
            kind="InferenceService",
            metadata=meta.v1.ObjectMetaArgs(
                name=model,
                namespace=namespace,
                annotations={
                    "serving.kserve.io/deploymentMode": "RawDeployment",
                    "pulumi.com/waitFor": "condition=Ready",
                },
                labels={"stellwerk.dev/model": model},
            ),
            spec={"predictor": _predictor(args, secret.metadata.name)},
            opts=pods.child(self),
        )
        selector = {"serving.kserve.io/inferenceservice": model}
        networking.v1.NetworkPolicy(
            f"{name}-ingress",
            metadata=meta.v1.ObjectMetaArgs(name=f"allow-{model}", namespace=namespace),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=meta.v1.LabelSelectorArgs(match_labels=selector),
                policy_types=["Ingress"],
                ingress=[
                    networking.v1.NetworkPolicyIngressRuleArgs(
                        ports=[networking.v1.NetworkPolicyPortArgs(port=PORT, protocol="TCP")],
                        from_=[pods.namespace_peer(args["clients"])],
                    )
                ],
            ),
            opts=pods.child(self),
        )
        self.url = pulumi.Output.all(namespace, service.metadata["name"]).apply(lambda known: url(known[0], known[1]))
        self.register_outputs({"url": self.url})


def url(namespace: str, model: str) -> str:
    """Base URL of a model inside the cluster; the Service is KServe's."""
    return f"http://{model}-predictor.{namespace}.svc.cluster.local"


def _predictor(args: InferenceServiceArgs, secret: pulumi.Input[str]) -> pulumi.Inputs:
    values = {
        "ENVIRONMENT": args["environment"],
        "MODEL_NAME": args["model"],
        "MODEL_DIGEST": args["artefact_digest"],
        "RELEASE": args["release"],
        "RUN_ID": args["run_id"],
    }
    served = [{"name": key, "value": value} for key, value in values.items()]
    store: list[pulumi.Inputs] = [
        {"name": "ENVIRONMENT", "value": args["environment"]},
        {"name": "MODEL_BUCKET", "value": args["bucket"]},
        {"name": "MODEL_KEY", "value": args["artefact_key"]},
        {"name": "MODEL_DIGEST", "value": args["artefact_digest"]},
        {"name": "AWS_ENDPOINT_URL_S3", "value": args["s3_endpoint"]},
        {"name": "AWS_CA_BUNDLE", "value": "/ca/ca.crt"},
        *(
            {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": field}}}
            for key, field in (("AWS_ACCESS_KEY_ID", "access"), ("AWS_SECRET_ACCESS_KEY", "secret"))
        ),
    ]
    restricted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    fetch = {
        # KServe's own initialiser is no "restricted" container and verifies no digest; it leaves a pod alone that
        # has a container of this name.
        "name": "storage-initializer",
        "image": args["image"],
        "command": ["python", "-m", "serving.fetch"],
        "env": store,
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "256Mi"}},
        "securityContext": restricted,
        "volumeMounts": [
            {"name": "model", "mountPath": "/mnt/models"},
            {"name": "ca", "mountPath": "/ca", "readOnly": True},
        ],
    }
    predictor: dict[str, object] = {
        # Equal: the number of pods is declared, not chosen by an autoscaler.
        "minReplicas": args["replicas"],
        "maxReplicas": args["replicas"],
        "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "terminationGracePeriodSeconds": DRAIN_SECONDS + 25,
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": args["pull_secret"]}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": pods.USER,
            "runAsGroup": pods.USER,
            "fsGroup": pods.USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "model": {
            "modelFormat": {"name": "onnx", "version": "1"},
            "protocolVersion": "v2",
            "runtime": args["runtime"],
            # Without it KServe takes the service for a multi-model server.
            "storageUri": f"s3://{args['bucket']}/{args['artefact_key']}",
            "image": args["image"],
            "env": served,
        },
        "initContainers": [fetch],
        "volumes": [
            {"name": "ca", "secret": {"secretName": secret, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        ],
    }
    pool = args.get("node_pool")
    if pool:
        predictor |= {"nodeSelector": {POOL_LABEL: pool}, "tolerations": [{"key": GPU, "operator": "Exists"}]}
    return predictor
