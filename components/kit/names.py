"""Names that other rooms use, without what it takes to declare resources: importing this costs nothing."""

KSERVE_WEBHOOK = "kserve-webhook-server-service"
"""Service that the API server calls; its certificate carries the name."""

SERVING_RUNTIME = "stellwerk-onnx"
"""The runtime that inference services ask for."""

LOG_STORE = "log-store"
"""Service of Elasticsearch; its certificate carries the name."""

TRACKING = "tracking"
"""Service of MLflow, its pods' label, and the name of its StatefulSet: the pod is `tracking-0`."""

TENSORBOARD = "tensorboard"
"""Service of TensorBoard, its pods' label, and the name of its StatefulSet: the pod is `tensorboard-0`."""

# What readers of the log store need. Every string but `message` is indexed as it stands: `term` queries find it.
LOG_INDEX = "logs-stellwerk"
LOG_INDEX_PATTERN = "logs-*"
# The role of each user of the log store that has a fixed name; others are readers of some environments.
LOG_ROLES = {
    "shipper": "shipper",
    "reader": "reader",
    "keeper": "keeper",
    "application": "application",
    "elastic": "superuser",
}
TIME_FIELD = "@timestamp"
MODEL_FIELD = "stellwerk.model"
RELEASE_FIELD = "stellwerk.release"
RUN_FIELD = "stellwerk.run_id"
REQUEST_FIELD = "http.request.id"
ENVIRONMENT_FIELD = "service.environment"
NAMESPACE_FIELD = "kubernetes.namespace"
POD_FIELD = "kubernetes.pod.name"
CONTAINER_FIELD = "kubernetes.container.name"
# Of programs that ship their lines: what the node's shipper leaves out, and the id of what it does not.
SHIPPING_FIELD = "stellwerk.shipping"
ID_FIELD = "event.id"

# Namespaces of an environment are named `<environment>-<purpose>`.
NAMESPACE_PURPOSES = ("platform", "serving", "training", "logging", "kserve")

REVISION = "stellwerk.dev/image-revision"
"""Annotation of training pods: what their image was built from."""

MODEL_LABEL = "stellwerk.dev/model"
"""Label of what is a model's: its inference service, its training Jobs and their pods."""

RUNTIME_LABEL = "stellwerk.dev/training-runtime"
"""Label of a template of Jobs that Kubeflow Trainer makes: the TrainingRuntime that it makes them by."""

POOL_LABEL = "stellwerk.dev/node-pool"
"""Label of a node: the pool it is one of. Annotation of pods on a pool whose nodes have other labels."""

CAPACITY = "stellwerk.dev/capacity"
"""Annotation of a simulated node: what it has, as JSON."""

REGISTRY_LOGIN = "registry-login"
"""Secret, service account, role and Jobs of a registry login that ends after hours."""

GPU = "nvidia.com/gpu"
"""The resource that NVIDIA's device plugin advertises, and by custom the taint of the nodes that have it."""


def namespace_labels(environment: str, purpose: str) -> dict[str, str]:
    """Return the labels of an environment's namespace: whose it is, and that its pods have no privileges."""
    return {
        "stellwerk.dev/environment": environment,
        "stellwerk.dev/purpose": purpose,
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
