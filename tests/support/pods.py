"""Objects of a model's pods, as the cluster gives them."""

from typing import Any

IMAGE = "r/serving@sha256:0"
_LABELS = {"serving.kserve.io/inferenceservice": "digits"}


def replica_set(release: str, revision: int, **status: Any) -> dict[str, Any]:
    name = f"digits-predictor-{revision}"
    container = {"name": "kserve-container", "env": [{"name": "RELEASE", "value": release}]}
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "uid": name,
            "labels": _LABELS,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {"template": {"spec": {"containers": [container]}}},
        "status": status,
    }


def pod(revision: int, *statuses: dict[str, Any], **more: Any) -> dict[str, Any]:
    container = {"name": "kserve-container", "image": IMAGE, "resources": {"limits": {"memory": "512Mi"}}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"pod-{revision}",
            "labels": _LABELS,
            "ownerReferences": [{"uid": f"digits-predictor-{revision}"}],
        },
        "spec": {"containers": [container]},
        "status": {"containerStatuses": list(statuses), **more},
    }


def container(restarts: int = 0, **state: Any) -> dict[str, Any]:
    last = state.pop("last", None)
    return {
        "name": "kserve-container", "image": "r/serving@sha256:0", "restartCount": restarts, "state": state,
        "lastState": {"terminated": last} if last else {},
    }  # fmt: skip


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"reason": reason, "message": message}
