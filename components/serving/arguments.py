"""Arguments of InferenceService."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.kit.access import LogStoreAccessArgs, StoreAccessArgs
from components.kit.device_claims import DeviceClaimArgs
from components.serving.autoscaling import AutoscalingArgs


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
    pull_secret: NotRequired[pulumi.Input[str] | None]
    """Name of the Secret with the registry login. Absent where the nodes log in by themselves."""
    runtime: pulumi.Input[str]
    """Name of the ClusterServingRuntime."""
    deployment_mode: NotRequired[str]
    """KServe's word for plain Deployments: Standard when absent, RawDeployment before KServe 0.16."""
    store: StoreAccessArgs
    """Store of the artefact; an identity is that of the service account `<model>-predictor`."""
    artefact_key: str
    """Key of the artefact."""
    artefact_digest: str
    """Digest of the artefact; another one is not served."""
    artefact_size: int
    """Bytes of the artefact, all files together: a large one may take longer to start."""
    artefact_file: NotRequired[str | None]
    """What the model's file is called in the pod; model.onnx when absent."""
    artefact_files: NotRequired[str | None]
    """Files beside the model's, a JSON list of objects with name, digest, size and key; none when absent."""
    clients: pulumi.Input[str]
    """Namespace whose pods may connect."""
    replicas: int
    """Number of pods; with an autoscaler the number to begin with."""
    autoscaling: NotRequired[AutoscalingArgs | None]
    """Who changes the number of pods; nobody when absent."""
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
    node_labels: NotRequired[Mapping[str, str] | None]
    """Labels of the pool's nodes; `stellwerk.dev/node-pool` with the pool's name when absent."""
    devices: NotRequired[Mapping[str, str] | None]
    """What each pod asks for of the pool's accelerators, by resource; with any of them it computes with CUDA, which
    the image must be built for. None when absent."""
    device_claim: NotRequired[DeviceClaimArgs | None]
    """Devices that each pod claims instead (DRA), and computes with CUDA on; none when absent."""
    tolerations: NotRequired[Sequence[str] | None]
    """Keys of the pool's taints; `nvidia.com/gpu` when absent."""
    priority_class: NotRequired[pulumi.Input[str] | None]
    """Name of the pods' priority class; none when absent."""
    log_store: NotRequired[LogStoreAccessArgs | None]
    """Store that the pods ship their lines to by themselves; absent, the shipper of their node does."""
