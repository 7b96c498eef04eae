"""Twenty kinds of change, each of an object of its own, written as files instead of into a cluster.

The variable EDITION is 1 or 2, RELEASES names a release for each.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import pulumi

EDITION = int(os.environ.get("EDITION", "1"))
MODEL = "digits"
_APPS, _RBAC, _KSERVE = "apps/v1", "rbac.authorization.k8s.io/v1", "serving.kserve.io/v1beta1"


def either(first: Any, second: Any) -> Any:
    """Return the value of this edition."""
    return first if EDITION == 1 else second


def declare() -> None:
    """Declare the objects; each is called what changes about it."""
    settings = {"renderYamlToDirectory": os.environ["RENDERED"], "enableConfigMapMutable": True}
    opts = pulumi.ResourceOptions(provider=pulumi.ProviderResource("kubernetes", "cluster", settings))
    _workloads(opts)
    _others(opts)
    model = pulumi.ComponentResource("stellwerk:index:InferenceService", MODEL, None, None)
    _model(pulumi.ResourceOptions(provider=opts.provider, parent=model))
    pulumi.export("models", {MODEL: json.loads(os.environ["RELEASES"])[EDITION - 1]})
    pulumi.export("nodePools", {"gpu": {"nodes": either(2, 3), "pricePerHour": 3.5}, "cpu": {"nodes": 4}})
    pulumi.export("secret", pulumi.Output.secret("hidden-output"))


def _workloads(opts: pulumi.ResourceOptions) -> None:
    _pods("Deployment", "image", opts, image=either("a:1", "a:2"))
    _pods("Deployment", "variable", opts, env=[{"name": "A", "value": either("1", "2")}])
    _pods("Deployment", "resources", opts, resources={"limits": {"cpu": either("1", "2")}})
    _pods("Deployment", "replicas", opts, replicas=either(1, 2))
    _pods("Deployment", "image-and-replicas", opts, replicas=either(1, 2), image=either("a:1", "a:2"))
    _pods("Deployment", "label", opts, labels={"a": either("1", "2")})
    _pods("Deployment", "selector", opts, selector={"app": either("x", "y")})
    _pods("StatefulSet", "stateful", opts, image=either("a:1", "a:2"))
    _pods("DaemonSet", "daemon", opts, replicas=None, image=either("a:1", "a:2"))


def _others(opts: pulumi.ResourceOptions) -> None:
    pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": either("a:1", "a:2")}]}}
    _object("core/v1:ConfigMap", "settings", {"data": {"a": either("1", "2")}}, opts)
    _object("core/v1:ConfigMap", "same", {"data": {"a": "1"}}, opts)
    _object("core/v1:ConfigMap", either("gone", "new"), {"data": {"a": "1"}}, opts)
    hidden = pulumi.Output.secret(either("hidden-1", "hidden-2"))
    _object("core/v1:Secret", "secret", {"stringData": {"a": hidden}}, opts)
    _object("core/v1:Service", "port", {"spec": {"ports": [{"port": either(80, 81)}]}}, opts)
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": either("slow", "fast")}
    _object("core/v1:PersistentVolumeClaim", "claim", {"spec": claim}, opts)
    _object("batch/v1:Job", "job", {"spec": {"template": pod}}, opts)
    _object(
        "batch/v1:CronJob",
        "cron",
        {"spec": {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": pod}}}},
        opts,
    )
    role = {"kind": "Role", "name": either("a", "b"), "apiGroup": "rbac.authorization.k8s.io"}
    _object(f"{_RBAC}:RoleBinding", "binding", {"roleRef": role, "subjects": []}, opts)


def _model(opts: pulumi.ResourceOptions) -> None:
    artefact = {"minReplicas": 1, "model": {"storageUri": either("s3://models/1", "s3://models/2")}}
    _object(f"{_KSERVE}:InferenceService", MODEL, {"spec": {"predictor": artefact}}, opts)
    number = {"minReplicas": either(1, 2), "model": {"storageUri": "s3://models/1"}}
    _object(f"{_KSERVE}:InferenceService", f"{MODEL}-number", {"spec": {"predictor": number}}, opts)
    _object(f"{_APPS}:DeploymentPatch", f"{MODEL}-replicas", {"spec": {"replicas": either(1, 2)}}, opts)


def _pods(
    kind: str,
    name: str,
    opts: pulumi.ResourceOptions,
    *,
    replicas: int | None = 1,
    labels: Mapping[str, str] | None = None,
    selector: Mapping[str, str] | None = None,
    **container: Any,
) -> None:
    chosen = selector or {"app": name}
    pods = {"metadata": {"labels": chosen}, "spec": {"containers": [{"name": "c", "image": "a:1", **container}]}}
    spec = {"selector": {"matchLabels": chosen}, "template": pods, **({"replicas": replicas} if replicas else {})}
    _object(f"{_APPS}:{kind}", name, {"spec": spec}, opts, labels)


def _object(
    kind: str, name: str, body: Mapping[str, Any], opts: pulumi.ResourceOptions, labels: Mapping[str, str] | None = None
) -> None:
    version, _, word = kind.rpartition(":")
    metadata = {"name": name, "namespace": "default", **({"labels": labels} if labels else {})}
    # The core group has no name in the API.
    inputs = {"apiVersion": version.removeprefix("core/"), "kind": word, "metadata": metadata, **body}
    pulumi.CustomResource(f"kubernetes:{kind}", name, inputs, opts)


if __name__ == "__main__":
    declare()
