"""How a model is trained: a template that every training Job is made from."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.kit import device_claims, log_access, placement, pods, store_access
from components.kit.access import LogStoreAccessArgs, StoreAccessArgs, TrackingAccessArgs
from components.kit.device_claims import DeviceClaimArgs
from components.kit.kubernetes import batch, core, meta
from components.kit.names import GPU, MODEL_LABEL, REVISION, RUNTIME_LABEL
from components.kit.volumes import scratch_volume, secret_volume
from components.kit.workload import Workload
from components.training.trainer import CONTAINER, declare_runtime, trained_with
from components.training.workers import declare_policy, declare_service, starts


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
    pull_secret: NotRequired[pulumi.Input[str] | None]
    """Name of the Secret with the registry login. Absent where the nodes log in by themselves."""
    tracking: TrackingAccessArgs
    """Tracking server of the runs; with `private` it is verified by the store's trust bundle."""
    experiment: NotRequired[str | None]
    """What the tracking server calls the model, where that is not its name."""
    store: StoreAccessArgs
    """Store of artefacts and candidates; an identity is that of the service account `train-<model>`."""
    data: NotRequired[StoreAccessArgs | None]
    """Store with data to train on, beside that of artefacts; by static keys."""
    cpu: str
    """CPU cores, as text."""
    memory: str
    """Memory, in bytes with a binary unit."""
    node_pool: NotRequired[str | None]
    """Node pool the Jobs run on; any node, on the CPU, when absent."""
    node_labels: NotRequired[Mapping[str, str] | None]
    """Labels of the pool's nodes; `stellwerk.dev/node-pool` with the pool's name when absent."""
    devices: NotRequired[Mapping[str, str] | None]
    """What each Job asks for of the pool's accelerators, by resource; one `nvidia.com/gpu` when absent, and with an
    empty mapping it trains on the CPU."""
    device_claim: NotRequired[DeviceClaimArgs | None]
    """Devices that each pod claims instead (DRA), and computes with CUDA on; none when absent."""
    tolerations: NotRequired[Sequence[str] | None]
    """Keys of the pool's taints; `nvidia.com/gpu` when absent."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the pods' priority class; none when absent."""
    workers: NotRequired[int]
    """Pods that train one model together, with torchrun; 1 when absent."""
    trainer: NotRequired[bool]
    """Kubeflow Trainer runs in the cluster: several workers are a TrainJob of it. False when absent."""
    log_store: NotRequired[LogStoreAccessArgs | None]
    """Store that the Jobs ship their lines to by themselves; absent, the shipper of their node does."""


class TrainingPipeline(pulumi.ComponentResource):
    """A suspended CronJob: its template is the declaration, `stellwerk train` makes Jobs of it."""

    template: pulumi.Output[str]
    """Name of the CronJob."""

    def __init__(self, name: str, args: TrainingPipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:TrainingPipeline", name, None, opts)
        title = _title(args)
        workload = Workload(name, title, args["namespace"], self, args.get("priority_class"))
        data = {**store_access.secret_data(args["store"]), **_login(args["tracking"]), **_data_keys(args.get("data"))}
        secret = workload.secret(data) if data else None
        account = store_access.store_account(workload, title, args["store"])
        labels = {"app": "training", MODEL_LABEL: args["model"]}
        logs = args.get("log_store")
        log_secret = None if logs is None else workload.secret(log_access.secret_data(logs), "log-store")
        pod, workers = _pod(args, secret, account, log_secret), args.get("workers", 1)
        if claim := args.get("device_claim"):
            device_claims.declare_template(name, title, args["namespace"], claim, self)
        if workers > 1:
            declare_policy(name, title, args["namespace"], labels, self)
        job = _job(pod, labels, _annotations(args), workers)
        known_by = labels
        if _by_trainer(args):
            declare_runtime(name, title, args["namespace"], job, labels, workers, _processes(args), self)
            known_by = {**labels, RUNTIME_LABEL: title}
        elif workers > 1:
            declare_service(name, title, args["namespace"], labels, self)
        # Never by itself: there is no 31st of February.
        template = workload.job_template(job, "0 0 31 2 *", known_by)
        self.template = template.metadata.name
        self.register_outputs({"template": self.template})


def _ships(access: LogStoreAccessArgs | None, container: str) -> list[core.v1.EnvVarArgs]:
    """Return the variables by which the container ships its own lines."""
    if access is None:
        return []
    values = {"ENVIRONMENT": access["environment"], **log_access.variables(access, container)}
    return [*pods.env(values), *(pods.field_env(name, path) for name, path in log_access.FIELDS.items())]


def _log_secret(
    secret: pulumi.Input[str] | None,
) -> tuple[list[core.v1.VolumeMountArgs], list[core.v1.VolumeArgs]]:
    """Return mount and volume of the log store's login; none where the node's shipper brings the lines."""
    if secret is None:
        return [], []
    mount = pods.mount(log_access.VOLUME, log_access.FOLDER, read_only=True)
    return [mount], [secret_volume(log_access.VOLUME, secret)]


def _by_trainer(args: TrainingPipelineArgs) -> bool:
    """Return whether Kubeflow Trainer makes the Jobs."""
    return args.get("trainer", False) and args.get("workers", 1) > 1


def _start(args: TrainingPipelineArgs) -> tuple[list[str] | None, list[core.v1.EnvVarArgs]]:
    """Return the command of a pod, None for that of the image, and the variables that the command needs."""
    workers = args.get("workers", 1)
    if workers == 1:
        return None, []
    if _by_trainer(args):
        return trained_with(workers, _processes(args)), []
    return starts(_title(args), workers, _processes(args))


def _job(
    pod: core.v1.PodSpecArgs, labels: Mapping[str, str], annotations: Mapping[str, str], workers: int
) -> batch.v1.JobSpecArgs:
    disruption = batch.v1.PodFailurePolicyOnPodConditionsPatternArgs(type="DisruptionTarget", status="True")
    several = workers > 1
    return batch.v1.JobSpecArgs(
        completion_mode="Indexed" if several else None,
        completions=workers if several else None,
        parallelism=workers if several else None,
        # A gate that is missed is missed again; nodes that go away are another matter.
        backoff_limit=0,
        active_deadline_seconds=6 * 3600,
        pod_failure_policy=batch.v1.PodFailurePolicyArgs(
            rules=[batch.v1.PodFailurePolicyRuleArgs(action="Ignore", on_pod_conditions=[disruption])]
        ),
        template=core.v1.PodTemplateSpecArgs(
            metadata=meta.v1.ObjectMetaArgs(labels=labels, annotations=annotations), spec=pod
        ),
    )


def _login(tracking: TrackingAccessArgs) -> dict[str, pulumi.Input[str]]:
    """Return what a Secret has of the tracking server's login."""
    login = tracking.get("login")
    return {} if login is None else {"tracking-username": login["username"], "tracking-password": login["password"]}


def _data_keys(store: StoreAccessArgs | None) -> dict[str, pulumi.Input[str]]:
    """Return what a Secret has of the login of the store with data."""
    return {} if store is None else {f"data-{key}": value for key, value in store_access.secret_data(store).items()}


def _data_environment(store: StoreAccessArgs | None, secret: pulumi.Input[str] | None) -> list[core.v1.EnvVarArgs]:
    """Return the variables by which a Job reaches the store with data; none of them is one that the other has."""
    if store is None or secret is None:
        return []
    endpoint, region = store.get("endpoint"), store.get("region") or store_access.DEFAULT_REGION
    keys = {"DATA_ACCESS_KEY_ID": "data-access", "DATA_SECRET_ACCESS_KEY": "data-secret"}
    return [
        *pods.env({"DATA_BUCKET": store["bucket"], "DATA_REGION": region}),
        *pods.env({} if endpoint is None else {"DATA_ENDPOINT_URL": endpoint}),
        *(pods.secret_env(name, secret, key) for name, key in keys.items()),
    ]


def _tracking_environment(args: TrainingPipelineArgs, secret: pulumi.Input[str] | None) -> list[core.v1.EnvVarArgs]:
    """Return the variables by which a run is named, and by which MLflow's client logs in and verifies the server."""
    tracking, experiment = args["tracking"], args.get("experiment") or args["model"]
    values = {} if experiment == args["model"] else {"STELLWERK_EXPERIMENT": experiment}
    # Without a bundle of one's own the public authorities are trusted.
    if tracking.get("private") and args["store"].get("trust_bundle") is not None:
        values["MLFLOW_TRACKING_SERVER_CERT_PATH"] = f"{store_access.TRUST_FOLDER}/{store_access.TRUST_KEY}"
    entries = pods.env(values)
    if tracking.get("login") is not None and secret is not None:
        for key in ("username", "password"):
            entries.append(pods.secret_env(f"MLFLOW_TRACKING_{key.upper()}", secret, f"tracking-{key}"))
    return entries


def _devices(args: TrainingPipelineArgs) -> Mapping[str, str]:
    """Return the devices that each pod asks for by resource: none where it claims them."""
    if not args.get("node_pool") or args.get("device_claim"):
        return {}
    given = args.get("devices")
    return {GPU: "1"} if given is None else given


def _processes(args: TrainingPipelineArgs) -> int:
    """Return how many processes train in each pod: one for each whole GPU, and one on anything else."""
    claim = args.get("device_claim")
    return claim["count"] if claim else int(_devices(args).get(GPU, "1"))


def _title(args: TrainingPipelineArgs) -> str:
    """Return the name of what the pipeline has in the cluster."""
    return f"train-{args['model']}"


def _annotations(args: TrainingPipelineArgs) -> dict[str, str]:
    """Return the annotations of the pods."""
    # A release's commit is held against the revision: a Job keeps it when the template moves on.
    return {REVISION: args["revision"], **placement.annotations(args.get("node_pool"), args.get("node_labels"))}


def _claims(args: TrainingPipelineArgs) -> list[core.v1.PodResourceClaimArgs] | None:
    """Return the claims of a pod, None where it has none."""
    claim = args.get("device_claim")
    named = device_claims.claims(_title(args), claim) if claim else []
    return [
        core.v1.PodResourceClaimArgs(name=each["name"], resource_claim_template_name=each["resourceClaimTemplateName"])
        for each in named
    ] or None


def _pod(
    args: TrainingPipelineArgs,
    secret: pulumi.Input[str] | None,
    account: pulumi.Input[str] | None,
    log_secret: pulumi.Input[str] | None,
) -> core.v1.PodSpecArgs:
    store, devices = args["store"], _devices(args)
    claim = args.get("device_claim")
    command, first = _start(args)
    title = CONTAINER if _by_trainer(args) else "training"
    log_mounts, log_volumes = _log_secret(log_secret)
    container = pods.container(
        title,
        args["image"],
        pods.resources(args["cpu"], args["memory"], devices=devices, claims=bool(claim)),
        [*store_access.trust_mounts(store), *log_mounts, pods.temporary()],
        command=command,
        args=[args["model"]],
        env=[
            pods.field_env("JOB_NAME", "metadata.labels['batch.kubernetes.io/job-name']"),
            *pods.env(
                {
                    "TRAINING_IMAGE": args["image"],
                    "MLFLOW_TRACKING_URI": args["tracking"]["uri"],
                    "MODEL_BUCKET": store["bucket"],
                }
            ),
            *store_access.environment(store, secret),
            *_data_environment(args.get("data"), secret),
            *pods.env({"STELLWERK_DEVICE": "cuda" if devices or claim else "cpu"}),
            *_tracking_environment(args, secret),
            *_ships(args.get("log_store"), title),
            *first,
        ],
    )
    pod = pods.pod(
        [container],
        [*store_access.trust_volumes(store, secret), *log_volumes, scratch_volume("tmp", "4Gi")],
        pull_secret=args.get("pull_secret"),
        account=account,
        restart_policy="Never",
    )
    if args.get("workers", 1) > 1 and not _by_trainer(args):
        pod.subdomain = _title(args)
    pod.resource_claims = _claims(args)
    _place(pod, args)
    return pod


def _place(pod: core.v1.PodSpecArgs, args: TrainingPipelineArgs) -> None:
    """Send the pod to the nodes of its pool, if it has one."""
    if pool := args.get("node_pool"):
        pod.node_selector = placement.selector(pool, args.get("node_labels"))
        pod.tolerations = [
            core.v1.TolerationArgs(key=each["key"], operator=each["operator"])
            for each in placement.tolerations(args.get("tolerations"))
        ]
