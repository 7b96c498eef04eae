"""The ClusterServingRuntime that serves ONNX."""

import pulumi

from components.kit import pods, ports
from components.kit.security import CONTAINER_MANIFEST, POD_MANIFEST
from components.serving.manifests import Container, Probe, Runtime, RuntimeSecurity

# Seconds after SIGTERM in which a server still takes requests.
DRAIN_SECONDS = 5
MODEL_FOLDER = "/mnt/models"


def runtime(image: pulumi.Input[str]) -> Runtime:
    """Return the spec of the runtime with this image."""
    return {
        "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v2"],
        "multiModel": False,
        "containers": [_container(image)],
        "volumes": [{"name": "model", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }


def _container(image: pulumi.Input[str]) -> Container:
    liveness = _probe("/v2/health/live", 10, 10, 6)
    liveness["terminationGracePeriodSeconds"] = 5
    security: RuntimeSecurity = {**CONTAINER_MANIFEST, "seccompProfile": POD_MANIFEST["seccompProfile"]}
    return {
        "name": "kserve-container",
        "image": image,
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


def _probe(path: str, period: int, timeout: int, failures: int) -> Probe:
    get: dict[str, str | int] = {"path": path, "port": ports.MODEL}
    return {"httpGet": get, "periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": failures}
