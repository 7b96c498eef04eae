"""The runtime that serves ONNX: of a cluster, or of a namespace."""

import pulumi

from components.kit import pods, ports
from components.kit.security import CONTAINER_MANIFEST, POD_MANIFEST
from components.serving.manifests import Container, Probe, Runtime, RuntimeSecurity

# Seconds after SIGTERM in which a server still takes requests.
DRAIN_SECONDS = 5
MODEL_FOLDER = "/mnt/models"
SERVER = "kserve-container"
"""Name of the container that serves; KServe looks for it."""


def runtime(image: pulumi.Input[str] | None) -> Runtime:
    """Return the spec of the runtime with this image; with None each inference service has to name one."""
    return {
        "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v2"],
        "multiModel": False,
        "containers": [_container(image)],
        "volumes": [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }


def _container(image: pulumi.Input[str] | None) -> Container:
    liveness = _probe("/v2/health/live", 10, 10, 6)
    liveness["terminationGracePeriodSeconds"] = 5
    security: RuntimeSecurity = {**CONTAINER_MANIFEST, "seccompProfile": POD_MANIFEST["seccompProfile"]}
    container: Container = {
        "name": SERVER,
        "env": [{"name": "DRAIN_SECONDS", "value": str(DRAIN_SECONDS)}],
        "ports": [{"containerPort": ports.MODEL, "protocol": "TCP"}],
        # A large model is loaded for as long as this allows; the other probes begin afterwards.
        "startupProbe": _probe("/v2/health/live", 1, 3, 900),
        "readinessProbe": _probe("/v2/health/ready", 2, 3, 3),
        # A server that hangs is started anew after a minute, without a drain; one that computes answers.
        "livenessProbe": liveness,
        # An inference service names its model's own.
        "resources": pods.resources("50m", "512Mi"),
        "securityContext": security,
        "volumeMounts": [
            {"name": "model", "mountPath": MODEL_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": pods.TEMPORARY},
        ],
    }
    return container if image is None else {**container, "image": image}


def _probe(path: str, period: int, timeout: int, failures: int) -> Probe:
    get: dict[str, str | int] = {"path": path, "port": ports.MODEL}
    return {"httpGet": get, "periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": failures}
