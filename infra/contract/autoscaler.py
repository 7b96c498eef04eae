"""What a cluster has to scale models by: section `autoscaler` of an environment."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from infra.contract.fields import Section

# What a query and the labels of a metric may name.
MODEL, NAMESPACE = "{model}", "{namespace}"


class MetricKind(StrEnum):
    """Which of the metrics APIs an adapter answers."""

    PODS = "pods"
    EXTERNAL = "external"


class RequestsMetric(Section):
    """Requests per second, as an adapter of the metrics APIs counts them."""

    kind: MetricKind = Field(
        description="pods (custom.metrics.k8s.io, a number of each pod) or external (external.metrics.k8s.io)"
    )
    metric: str = Field(min_length=1, description="what the adapter calls the metric")
    labels: Mapping[str, str] = Field(
        default={"model": MODEL, "namespace": NAMESPACE},
        description="with external: labels that choose a model's own; {model} and {namespace} stand for its names",
    )


class Keda(Section):
    """KEDA, with the Prometheus that it asks for requests per second."""

    prometheus: str = Field(
        pattern=r"^https?://[^/\s@]+(/\S*)?$", description="the http or https URL of Prometheus, as KEDA reaches it"
    )
    query: str = Field(
        pattern=r"(?s)\{model\}",
        description="a PromQL query of a model's requests per second; {model} and {namespace} stand for its names",
    )
    polling_seconds: int = Field(default=15, ge=1, le=3600, description="seconds between two looks, 1 to 3600")
    cooldown_seconds: int = Field(
        default=300, ge=0, le=86400, description="seconds without requests until the last pod goes, 0 to 86400"
    )


class Autoscaler(Section):
    """What the cluster has; by default nothing, and no model can name an autoscaler."""

    cpu: bool = Field(default=False, description="true: the cluster measures CPU (metrics.k8s.io, a metrics server)")
    requests: RequestsMetric | None = None
    keda: Keda | None = None


def named(text: str, model: str, namespace: str) -> str:
    """Return a query or a label's value for a model."""
    return text.replace(MODEL, model).replace(NAMESPACE, namespace)
