"""One served model."""

import hashlib
import math
import time
from collections.abc import Awaitable, Callable
from typing import NotRequired, TypedDict

import pulumi
from pulumi_kubernetes import apiextensions, apps, meta, networking, policy

from components.cluster.node_pool import GPU, POOL_LABEL
from components.kit import pods, store_access
from components.kit.access import StoreAccessArgs
from components.serving import rollout
from components.serving.kserve import DRAIN_SECONDS

PORT = 8080
# How long a revision may take to serve; the store gives at least a mebibyte a second.
_START_SECONDS = 300
_BYTES_PER_SECOND = 1024**2


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
    store: StoreAccessArgs
    """Store of the artefact; an identity is that of the service account `<model>-predictor`."""
    artefact_key: str
    """Key of the artefact."""
    artefact_digest: str
    """Digest of the artefact; another one is not served."""
    artefact_size: int
    """Bytes of the artefact: a large one may take longer to start."""
    clients: pulumi.Input[str]
    """Namespace whose pods may connect."""
    replicas: int
    """Number of pods."""
    cpu: str
    """CPU cores that each pod requests, as text."""
    memory: str
    """Memory of each pod, in bytes with a binary unit."""
    context: str
    """Context of the kubeconfig under which an update looks whether the pods serve."""
    deadline: NotRequired[float | None]
    """Time in seconds since 1970 after which an update waits no longer; when absent, by the artefact's size."""
    node_pool: NotRequired[str | None]
    """Node pool the pods run on; any node when absent."""


class InferenceService(pulumi.ComponentResource):
    """A KServe InferenceService whose pods fetch one artefact, verify its digest and serve it.

    An update ends once this revision serves in all its pods, or fails with the pods' own reason.
    """

    url: pulumi.Output[str]
    """Base URL inside the cluster, known once the service is ready."""

    def __init__(self, name: str, args: InferenceServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:InferenceService", name, None, opts)
        namespace, model = args["namespace"], args["model"]
        secret = store_access.store_secret(f"{name}-secret", namespace, args["store"], pods.child(self))
        account = store_access.service_account(
            f"{name}-account", f"{model}-predictor", namespace, args["store"], pods.child(self)
        )
        predictor = _predictor(args, secret, account)
        revision = pulumi.Output.json_dumps(predictor, sort_keys=True).apply(
            lambda text: hashlib.sha256(text.encode()).hexdigest()[:16]
        )
        service = apiextensions.CustomResource(
            name,
            api_version="serving.kserve.io/v1beta1",
            kind="InferenceService",
            metadata=meta.v1.ObjectMetaArgs(
                name=model,
                namespace=namespace,
                # KServe hands them on to the Deployment and its pods.
                annotations={
                    "serving.kserve.io/deploymentMode": "RawDeployment",
                    # The number of pods is declared: no autoscaler, which would look for metrics that nobody keeps.
                    "serving.kserve.io/autoscalerClass": "external",
                    rollout.REVISION: revision,
                },
                labels={"stellwerk.dev/model": model},
            ),
            spec={"predictor": predictor},
            opts=pods.child(self),
        )
        self._pods(name, args, service, revision)
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

    def _pods(
        self,
        name: str,
        args: InferenceServiceArgs,
        service: apiextensions.CustomResource,
        revision: pulumi.Output[str],
    ) -> None:
        """The number of pods, their disruption budget, and the wait for them."""
        namespace, model = args["namespace"], args["model"]
        opts = pods.child(self, [service])
        # Gone with the service: patched alone, a Deployment that is not there would be made.
        opts.deleted_with = service
        opts.hooks = self._before(f"{name}-exists", args, rollout.until_created)
        scale = apps.v1.DeploymentPatch(
            f"{name}-replicas",
            metadata=meta.v1.ObjectMetaPatchArgs(
                name=f"{model}-predictor",
                namespace=namespace,
                # KServe leaves the number alone, and Kubernetes has set it to one: of each Deployment, so with each
                # revision it is set again.
                annotations={
                    "pulumi.com/patchForce": "true",
                    "pulumi.com/skipAwait": "true",
                    "stellwerk.dev/replicas-of": revision,
                },
            ),
            spec=apps.v1.DeploymentSpecPatchArgs(replicas=args["replicas"]),
            opts=opts,
        )
        opts = pods.child(self, [scale])
        opts.hooks = self._before(f"{name}-serves", args, self._served)
        # Made or changed only once the revision serves: until then every preview shows it as still to be done.
        policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata=meta.v1.ObjectMetaArgs(
                name=model,
                namespace=namespace,
                annotations={
                    rollout.REVISION: revision,
                    "stellwerk.dev/replicas": str(args["replicas"]),
                    # One that was deleted by hand and made again is waited for like another revision.
                    "stellwerk.dev/service": service.metadata.apply(lambda known: known.get("uid", "")),
                },
            ),
            spec=policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1,
                selector=meta.v1.LabelSelectorArgs(match_labels={"serving.kserve.io/inferenceservice": model}),
            ),
            opts=opts,
        )

    def _served(self, revision: rollout.Revision, run: rollout.Kubectl) -> Awaitable[None]:
        return rollout.until_served(revision, run, lambda reason: pulumi.log.warn(reason, self))

    def _before(
        self,
        name: str,
        args: InferenceServiceArgs,
        wait: Callable[[rollout.Revision, rollout.Kubectl], Awaitable[None]],
    ) -> pulumi.ResourceHookBinding:
        """Lets a resource be created or updated only once `wait` has returned; previews wait for nothing."""
        seconds = _START_SECONDS + args["artefact_size"] / _BYTES_PER_SECOND

        async def before(given: pulumi.ResourceHookArgs) -> None:
            metadata = (given.new_inputs or {})["metadata"]
            revision = rollout.Revision(
                namespace=metadata["namespace"],
                model=args["model"],
                digest=metadata["annotations"].get(rollout.REVISION, ""),
                replicas=args["replicas"],
                seconds=min(seconds, (args.get("deadline") or math.inf) - time.time()),
            )
            await wait(revision, rollout.kubectl(args["context"], revision.namespace))

        hook = pulumi.ResourceHook(name, before)
        return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def url(namespace: str, model: str) -> str:
    """Base URL of a model inside the cluster; the Service is KServe's."""
    return f"http://{model}-predictor.{namespace}.svc.cluster.local"


def _predictor(
    args: InferenceServiceArgs, secret: pulumi.Input[str] | None, account: pulumi.Input[str] | None
) -> pulumi.Inputs:
    values = {
        "ENVIRONMENT": args["environment"],
        "MODEL_NAME": args["model"],
        "MODEL_DIGEST": args["artefact_digest"],
        "RELEASE": args["release"],
        "RUN_ID": args["run_id"],
    }
    served = [{"name": key, "value": value} for key, value in values.items()]
    bucket, trusts = args["store"]["bucket"], args["store"].get("trust_bundle") is not None
    fetched: dict[str, pulumi.Input[str]] = {
        "ENVIRONMENT": args["environment"],
        "MODEL_BUCKET": bucket,
        "MODEL_KEY": args["artefact_key"],
        "MODEL_DIGEST": args["artefact_digest"],
        **store_access.variables(args["store"]),
    }
    fetch_env: list[pulumi.Inputs] = [{"name": key, "value": value} for key, value in fetched.items()]
    if args["store"].get("keys") is not None:
        fetch_env += [
            {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": field}}}
            for key, field in store_access.KEY_VARIABLES.items()
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
        "env": fetch_env,
        # The larger of the two counts for the pod: what the server needs anyway.
        "resources": _resources(args),
        "securityContext": restricted,
        "volumeMounts": [
            {"name": "model", "mountPath": "/mnt/models"},
            *(
                [{"name": store_access.TRUST_VOLUME, "mountPath": store_access.TRUST_FOLDER, "readOnly": True}]
                if trusts
                else []
            ),
        ],
    }
    predictor: dict[str, object] = {
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
            "storageUri": f"s3://{bucket}/{args['artefact_key']}",
            "image": args["image"],
            "env": served,
            "resources": _resources(args),
        },
        "initContainers": [fetch],
    }
    if trusts:
        items = [{"key": store_access.TRUST_KEY, "path": store_access.TRUST_KEY}]
        predictor["volumes"] = [{"name": store_access.TRUST_VOLUME, "secret": {"secretName": secret, "items": items}}]
    if account is not None:
        predictor["serviceAccountName"] = account
    pool = args.get("node_pool")
    if pool:
        predictor |= {"nodeSelector": {POOL_LABEL: pool}, "tolerations": [{"key": GPU, "operator": "Exists"}]}
    return predictor


def _resources(args: InferenceServiceArgs) -> pulumi.Inputs:
    """Requests and limits by the rule of all pods, in the API's own spelling."""
    rule = pods.resources(args["cpu"], args["memory"])
    return {"requests": rule.requests, "limits": rule.limits}
