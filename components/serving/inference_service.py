"""One served model."""

import hashlib
import math
from collections.abc import Awaitable, Callable

import pulumi

from components.kit import device_claims, log_access, ports, store_access
from components.kit.custom import CustomResource
from components.kit.kubernetes import apps, meta, policy
from components.kit.names import MODEL_LABEL
from components.kit.network import allow_ingress, namespace_peer
from components.kit.options import child
from components.kit.workload import Workload
from components.serving import rollout
from components.serving.arguments import InferenceServiceArgs
from components.serving.autoscaling import declare_autoscaler
from components.serving.looks import SERVICE_LABEL, Looks, looks
from components.serving.predictor import predictor

# How long a revision may take to serve; the store gives at least a mebibyte a second.
_START_SECONDS = 300
_BYTES_PER_SECOND = 1024**2
# Of which revision the number of pods is, where the number is not declared.
_AUTOSCALER = "autoscaler"
# The word for inference services that are plain Deployments; before KServe 0.16 it was RawDeployment.
_STANDARD = "Standard"


class InferenceService(pulumi.ComponentResource):
    """A KServe InferenceService whose pods fetch one artefact, verify its digest and serve it.

    An update ends once this revision serves in all its pods, or fails with the pods' own reason.
    """

    url: pulumi.Output[str]
    """Base URL inside the cluster, known once the service is ready."""

    def __init__(self, name: str, args: InferenceServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:InferenceService", name, None, opts)
        namespace, model = args["namespace"], args["model"]
        deployment = rollout.deployment_name(model)
        workload = Workload(name, deployment, namespace, self)
        secret = store_access.store_secret(workload, args["store"])
        account = store_access.store_account(workload, deployment, args["store"])
        logs = args.get("log_store")
        log_secret = None if logs is None else workload.secret(log_access.secret_data(logs), "log-store")
        pods = predictor(args, secret, account, log_secret)
        claim = args.get("device_claim")
        needed = [device_claims.declare_template(name, deployment, namespace, claim, self)] if claim else []
        revision = pulumi.Output.json_dumps(pods, sort_keys=True).apply(
            lambda text: hashlib.sha256(text.encode()).hexdigest()[:16]
        )
        declared = child(self, needed)
        if args.get("autoscaling") is not None:
            declared.hooks = self._before(f"{name}-scaled", args, revision, rollout.remember)
        service = CustomResource(
            name,
            api_version="serving.kserve.io/v1beta1",
            kind="InferenceService",
            metadata=_metadata(args, revision),
            spec={"predictor": pods},
            opts=declared,
        )
        scale = self._scale(name, args, service, revision)
        budget = self._budget(name, args, service, revision, scale)
        autoscaling = args.get("autoscaling")
        if autoscaling is not None:
            # The revision has served before anybody ends its pods.
            target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment}
            metadata = meta.v1.ObjectMetaArgs(name=rollout.autoscaler_name(model), namespace=namespace)
            declare_autoscaler(f"{name}-autoscaler", target, metadata, autoscaling, child(self, [budget]))
        allow_ingress(
            f"{name}-ingress",
            meta.v1.ObjectMetaArgs(name=f"allow-{model}", namespace=namespace),
            {SERVICE_LABEL: model},
            [ports.MODEL],
            [namespace_peer(args["clients"])],
            self,
        )
        self.url = pulumi.Output.all(namespace, service.metadata["name"]).apply(lambda known: url(known[0], known[1]))
        self.register_outputs({"url": self.url})

    def _scale(
        self, name: str, args: InferenceServiceArgs, service: CustomResource, revision: pulumi.Output[str]
    ) -> apps.v1.DeploymentPatch:
        """Declare the number of pods, set once KServe has made the revision's Deployment.

        With an autoscaler it is the number to begin with: it is set once, and the autoscaler's from then on.
        """
        opts = child(self, [service])
        # Gone with the service: patched alone, a Deployment that does not exist would be made.
        opts.deleted_with = service
        opts.hooks = self._before(f"{name}-declared", args, revision, rollout.until_declared)
        autoscaled = args.get("autoscaling") is not None
        if autoscaled:
            opts.ignore_changes = ["spec.replicas"]
        return apps.v1.DeploymentPatch(
            f"{name}-replicas",
            metadata=meta.v1.ObjectMetaPatchArgs(
                name=rollout.deployment_name(args["model"]),
                namespace=args["namespace"],
                # KServe leaves the number alone, and Kubernetes has set it to one: of each Deployment, so with each
                # revision it is set again. Applied again beside an autoscaler, it would set the first number again.
                annotations={
                    "pulumi.com/patchForce": "true",
                    "pulumi.com/skipAwait": "true",
                    rollout.REPLICAS_OF: _AUTOSCALER if autoscaled else revision,
                },
            ),
            spec=apps.v1.DeploymentSpecPatchArgs(replicas=args["replicas"]),
            opts=opts,
        )

    def _budget(
        self,
        name: str,
        args: InferenceServiceArgs,
        service: CustomResource,
        revision: pulumi.Output[str],
        scale: pulumi.Resource,
    ) -> policy.v1.PodDisruptionBudget:
        """Declare the disruption budget, made or changed only once the revision serves.

        Until then every preview shows it as still to be done.
        """
        opts = child(self, [scale])
        opts.hooks = self._before(f"{name}-serves", args, revision, rollout.until_served)
        model = args["model"]
        return policy.v1.PodDisruptionBudget(
            f"{name}-budget",
            metadata=meta.v1.ObjectMetaArgs(
                name=model,
                namespace=args["namespace"],
                annotations={
                    rollout.REVISION: revision,
                    "stellwerk.dev/replicas": str(args["replicas"]),
                    # One that was deleted by hand and made again is waited for like another revision.
                    "stellwerk.dev/service": service.metadata.apply(lambda known: known.get("uid", "")),
                },
            ),
            spec=policy.v1.PodDisruptionBudgetSpecArgs(
                max_unavailable=1, selector=meta.v1.LabelSelectorArgs(match_labels={SERVICE_LABEL: model})
            ),
            opts=opts,
        )

    def _before(
        self,
        name: str,
        args: InferenceServiceArgs,
        revision: pulumi.Output[str],
        wait: Callable[[rollout.Revision, Looks, Callable[[str], None]], Awaitable[None]],
    ) -> pulumi.ResourceHookBinding:
        """Return hooks by which a resource is created or updated only once `wait` has returned, previews excepted."""
        autoscaling = args.get("autoscaling")
        seconds = _START_SECONDS + args["artefact_size"] / _BYTES_PER_SECOND

        async def before(given: pulumi.ResourceHookArgs) -> None:
            old = (given.old_inputs or {}).get("metadata", {}).get("annotations", {})
            expected = rollout.Revision(
                namespace=(given.new_inputs or {})["metadata"]["namespace"],
                model=args["model"],
                digest=await revision.future() or "",
                replicas=args["replicas"],
                scaling=rollout.Scaling(autoscaling["most"], "prometheus" in autoscaling) if autoscaling else None,
                was_scaled=old.get(rollout.REPLICAS_OF) == _AUTOSCALER,
                seconds=seconds,
                deadline=args.get("deadline") or math.inf,
            )
            shared = looks(args["context"], expected.namespace)
            await wait(expected, shared, lambda reason: pulumi.log.warn(reason, self))

        hook = pulumi.ResourceHook(name, before)
        return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def _metadata(args: InferenceServiceArgs, revision: pulumi.Output[str]) -> meta.v1.ObjectMetaArgs:
    return meta.v1.ObjectMetaArgs(
        name=args["model"],
        namespace=args["namespace"],
        # KServe hands them on to the Deployment and its pods.
        annotations={
            "serving.kserve.io/deploymentMode": args.get("deployment_mode", _STANDARD),
            # The number of pods is declared: no autoscaler, which would look for metrics that nobody keeps.
            "serving.kserve.io/autoscalerClass": "external",
            rollout.REVISION: revision,
        },
        labels={MODEL_LABEL: args["model"]},
    )


def url(namespace: str, model: str) -> str:
    """Return the base URL of a model inside the cluster."""
    return f"http://{rollout.deployment_name(model)}.{namespace}.svc.cluster.local"
