"""How a model is trained: a template that every training Job is made from."""

from typing import NotRequired, TypedDict

import pulumi
from pulumi_kubernetes import batch, core, meta

from components.cluster.node_pool import GPU, POOL_LABEL
from components.kit import pods, store_access
from components.kit.access import StoreAccessArgs
from components.kit.names import REVISION


class TrainingPipelineArgs(TypedDict):
    """Arguments of TrainingPipeline."""

    namespace: pulumi.Input[str]
    """Namespace of the Jobs."""
    model: str
    """Name of the model; the image's first argument."""
    image: pulumi.Input[str]
    """Training image by digest."""
    revision: str
    """What the image was built from: a commit, with a digest of what differs from it."""
    pull_secret: pulumi.Input[str]
    """Name of the Secret with the registry login."""
    tracking_uri: pulumi.Input[str]
    """MLFLOW_TRACKING_URI."""
    store: StoreAccessArgs
    """Store of artefacts and candidates; an identity is that of the service account `train-<model>`."""
    cpu: str
    """CPU cores, as text."""
    memory: str
    """Memory, in bytes with a binary unit."""
    node_pool: NotRequired[str | None]
    """Node pool the Jobs run on, with one GPU each; any node, on the CPU, when absent."""


class TrainingPipeline(pulumi.ComponentResource):
    """A suspended CronJob: its template is the declaration, `stellwerk train` makes Jobs of it."""

    template: pulumi.Output[str]
    """Name of the CronJob."""

    def __init__(self, name: str, args: TrainingPipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:TrainingPipeline", name, None, opts)
        namespace, model = args["namespace"], args["model"]
        store = args["store"]
        secret = store_access.store_secret(f"{name}-secret", namespace, store, pods.child(self))
        account = store_access.service_account(f"{name}-account", f"train-{model}", namespace, store, pods.child(self))
        labels = {"app": "training", "stellwerk.dev/model": model}
        job = batch.v1.JobSpecArgs(
            # A gate that is missed is missed again; nodes that go away are another matter.
            backoff_limit=0,
            active_deadline_seconds=6 * 3600,
            pod_failure_policy=batch.v1.PodFailurePolicyArgs(
                rules=[
                    batch.v1.PodFailurePolicyRuleArgs(
                        action="Ignore",
                        on_pod_conditions=[
                            batch.v1.PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")
                        ],
                    )
                ]
            ),
            template=core.v1.PodTemplateSpecArgs(
                metadata=meta.v1.ObjectMetaArgs(labels=labels), spec=self._pod(args, secret, account)
            ),
        )
        template = batch.v1.CronJob(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=f"train-{model}", namespace=namespace, labels=labels),
            spec=batch.v1.CronJobSpecArgs(
                # Never runs by itself.
                suspend=True,
                schedule="0 0 31 2 *",
                job_template=batch.v1.JobTemplateSpecArgs(
                    # A release's commit is held against it: a Job keeps it when the template moves on.
                    metadata=meta.v1.ObjectMetaArgs(labels=labels, annotations={REVISION: args["revision"]}),
                    spec=job,
                ),
            ),
            opts=pods.child(self),
        )
        self.template = template.metadata.name
        self.register_outputs({"template": self.template})

    def _pod(
        self, args: TrainingPipelineArgs, secret: pulumi.Input[str] | None, account: pulumi.Input[str] | None
    ) -> core.v1.PodSpecArgs:
        job_name = core.v1.ObjectFieldSelectorArgs(field_path="metadata.labels['batch.kubernetes.io/job-name']")
        pool = args.get("node_pool")
        container = core.v1.ContainerArgs(
            name="training",
            image=args["image"],
            args=[args["model"]],
            env=[
                core.v1.EnvVarArgs(name="JOB_NAME", value_from=core.v1.EnvVarSourceArgs(field_ref=job_name)),
                core.v1.EnvVarArgs(name="TRAINING_IMAGE", value=args["image"]),
                core.v1.EnvVarArgs(name="MLFLOW_TRACKING_URI", value=args["tracking_uri"]),
                core.v1.EnvVarArgs(name="MODEL_BUCKET", value=args["store"]["bucket"]),
                *store_access.environment(args["store"], secret),
                core.v1.EnvVarArgs(name="STELLWERK_DEVICE", value="cuda" if pool else "cpu"),
            ],
            security_context=pods.RESTRICTED_CONTAINER,
            resources=pods.resources(args["cpu"], args["memory"], devices={GPU: "1"} if pool else None),
            volume_mounts=[*store_access.trust_mounts(args["store"]), pods.mount("tmp", "/tmp")],  # noqa: S108
        )
        return core.v1.PodSpecArgs(
            restart_policy="Never",
            security_context=pods.RESTRICTED_POD,
            service_account_name=account,
            automount_service_account_token=False,
            image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=args["pull_secret"])],
            node_selector={POOL_LABEL: pool} if pool else None,
            tolerations=[core.v1.TolerationArgs(key=GPU, operator="Exists")] if pool else None,
            containers=[container],
            volumes=[*store_access.trust_volumes(args["store"], secret), pods.scratch_volume("tmp", "4Gi")],
        )
