"""Who sets the number of a model's pods: Kubernetes' own autoscaler, or KEDA, which makes one of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.kit.custom import CustomResource
from components.kit.kubernetes import meta

# Seconds for which fewer pods have to be enough before one goes: longer than a model takes to start.
_STABLE_SECONDS = 300
Object = Mapping[str, Any]


class PrometheusTriggerArgs(TypedDict):
    """A Prometheus that KEDA asks for requests per second."""

    url: str
    """URL, as KEDA reaches it."""
    query: str
    """PromQL of the model's requests per second, all pods together."""
    polling_seconds: int
    """Seconds between two looks."""
    cooldown_seconds: int
    """Seconds without requests until the last pod goes."""
    to_zero: bool
    """Whether the last pod goes, too."""


class AutoscalingArgs(TypedDict):
    """How many pods a model has; what is measured is an average of its pods."""

    least: int
    """Number of pods at least, while there are any."""
    most: int
    """Number of pods at most."""
    cpu: NotRequired[int]
    """Percent of the requested CPU; not measured when absent."""
    requests_per_second: NotRequired[int]
    """Requests per second; not measured when absent."""
    metric: NotRequired[str]
    """What an adapter of the metrics APIs calls requests per second; absent where KEDA counts them."""
    metric_labels: NotRequired[Mapping[str, str]]
    """Labels that choose the model's own of an external metric; absent, the metric is one of each pod."""
    prometheus: NotRequired[PrometheusTriggerArgs]
    """What KEDA asks; Kubernetes' own autoscaler is used when absent."""


def declare_autoscaler(
    name: str, target: Object, metadata: meta.v1.ObjectMetaArgs, args: AutoscalingArgs, opts: pulumi.ResourceOptions
) -> CustomResource:
    """Declare who scales `target`, a reference of kind, name and apiVersion; return it."""
    # The API server takes what is absent for a default of its own: the number is said, so that it stays ours.
    if "prometheus" in args:
        return CustomResource(
            name,
            api_version="keda.sh/v1alpha1",
            kind="ScaledObject",
            metadata=metadata,
            spec=scaled_object(target, args, args["prometheus"]),
            opts=opts,
        )
    return CustomResource(
        name,
        api_version="autoscaling/v2",
        kind="HorizontalPodAutoscaler",
        metadata=metadata,
        spec={
            "scaleTargetRef": target,
            "minReplicas": args["least"],
            "maxReplicas": args["most"],
            "metrics": _metrics(args),
            "behavior": _BEHAVIOUR,
        },
        opts=opts,
    )


# Twice as many pods at once, one fewer a minute: a load that comes in waves finds them.
_BEHAVIOUR: Object = {
    "scaleUp": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 15},
                             {"type": "Pods", "value": 2, "periodSeconds": 15}]},
    "scaleDown": {
        "stabilizationWindowSeconds": _STABLE_SECONDS,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
    },
}  # fmt: skip


def _metrics(args: AutoscalingArgs) -> Sequence[Object]:
    metrics: list[Object] = []
    if "cpu" in args:
        target = {"type": "Utilization", "averageUtilization": args["cpu"]}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if "requests_per_second" in args:
        target = {"type": "AverageValue", "averageValue": str(args["requests_per_second"])}
        metric: dict[str, Any] = {"name": args.get("metric")}
        if "metric_labels" in args:
            metric["selector"] = {"matchLabels": args["metric_labels"]}
            metrics.append({"type": "External", "external": {"metric": metric, "target": target}})
        else:
            metrics.append({"type": "Pods", "pods": {"metric": metric, "target": target}})
    return metrics


def scaled_object(target: Object, args: AutoscalingArgs, prometheus: PrometheusTriggerArgs) -> Object:
    """Return the spec of KEDA's object; what it is asked for is a number of all pods together."""
    triggers: list[Object] = [
        {
            "type": "prometheus",
            "metadata": {
                "serverAddress": prometheus["url"],
                "query": prometheus["query"],
                "threshold": str(args.get("requests_per_second")),
                # Any request at all.
                "activationThreshold": "0",
            },
        }
    ]
    if "cpu" in args:
        triggers.append({"type": "cpu", "metricType": "Utilization", "metadata": {"value": str(args["cpu"])}})
    zero = {"idleReplicaCount": 0} if prometheus["to_zero"] else {}
    return {
        "scaleTargetRef": target,
        "minReplicaCount": args["least"],
        "maxReplicaCount": args["most"],
        **zero,
        "pollingInterval": prometheus["polling_seconds"],
        "cooldownPeriod": prometheus["cooldown_seconds"],
        # What is not known is no reason to end pods.
        "fallback": {"failureThreshold": 3, "replicas": args["least"], "behavior": "currentReplicasIfHigher"},
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _BEHAVIOUR}},
        "triggers": triggers,
    }
