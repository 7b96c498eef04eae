"""How an environment's models are scaled: what its values ask of an autoscaler, and whether the cluster has it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from infra.contract.autoscaler import MetricKind, named
from infra.contract.environment import SERVING, Environment
from infra.contract.problems import Problem, show
from infra.services.serving.section import Autoscaling, Model, given

if TYPE_CHECKING:
    from components.serving.autoscaling import AutoscalingArgs


def problems(environment: Environment) -> Iterator[Problem]:
    """Yield what is wrong with each model's autoscaling, by itself and on this cluster."""
    for name, model in given(environment).items():
        if model.autoscaling is not None:
            yield from _contradictions(name, model, model.autoscaling)
            yield from _absent(environment, name, model.autoscaling)


def _contradictions(name: str, model: Model, scaled: Autoscaling) -> Iterator[Problem]:
    key = ("models", name, "autoscaling")
    if "replicas" in model.model_fields_set:
        yield Problem(
            ("models", name, "replicas"),
            str(model.replicas),
            "nothing, because the autoscaler sets the number of pods (autoscaling.min to autoscaling.max)",
            "remove replicas, or autoscaling",
        )
    if scaled.min > scaled.max:
        yield Problem(
            (*key, "min"),
            str(scaled.min),
            f"at most autoscaling.max, {scaled.max}",
            "lower autoscaling.min, or raise autoscaling.max",
        )
    if scaled.cpu is None and scaled.requests_per_second is None:
        yield Problem(key, "neither cpu nor requestsPerSecond", "one of them, or both", "say what is measured")
    if scaled.scale_to_zero and scaled.requests_per_second is None:
        yield Problem(
            (*key, "requestsPerSecond"),
            "absent",
            "a number, because scaleToZero is true: without a pod there is no CPU that could be measured",
            "set requestsPerSecond, or scaleToZero to false",
        )


def _absent(environment: Environment, name: str, scaled: Autoscaling) -> Iterator[Problem]:
    """Yield what the cluster does not have, as far as the environment says."""
    key, cluster = ("models", name, "autoscaling"), environment.autoscaler
    if scaled.scale_to_zero and cluster.keda is None:
        yield Problem(
            (*key, "scaleToZero"),
            "true",
            "false, because autoscaler.keda is absent, and nothing else scales from zero",
            "install KEDA and set autoscaler.keda, or set it to false",
        )
    elif scaled.requests_per_second is not None and cluster.requests is None and cluster.keda is None:
        yield Problem(
            (*key, "requestsPerSecond"),
            show(scaled.requests_per_second),
            "null, because neither autoscaler.requests nor autoscaler.keda says who counts requests",
            "set one of them, or measure cpu",
        )
    if scaled.cpu is not None and not cluster.cpu:
        yield Problem(
            (*key, "cpu"),
            show(scaled.cpu),
            "null, because autoscaler.cpu is not true: nothing would ever be measured",
            "install a metrics server and set autoscaler.cpu to true, or measure requestsPerSecond",
        )


def arguments(environment: Environment, name: str, model: Model) -> "AutoscalingArgs | None":
    """Return how a model is scaled, as its component takes it; None where the number of its pods stays."""
    scaled, cluster = model.autoscaling, environment.autoscaler
    if scaled is None:
        return None
    made: AutoscalingArgs = {"least": scaled.min, "most": scaled.max}
    if scaled.cpu is not None:
        made["cpu"] = scaled.cpu
    if scaled.requests_per_second is None:
        return made
    made["requests_per_second"] = scaled.requests_per_second
    namespace, metric, keda = environment.namespace(SERVING), cluster.requests, cluster.keda
    # KEDA where nothing else can do it: it makes an autoscaler of its own.
    if keda is not None and (scaled.scale_to_zero or metric is None):
        made["prometheus"] = {
            "url": keda.prometheus,
            "query": named(keda.query, name, namespace),
            "polling_seconds": keda.polling_seconds,
            "cooldown_seconds": keda.cooldown_seconds,
            "to_zero": scaled.scale_to_zero,
        }
    elif metric is not None:
        made["metric"] = metric.metric
        if metric.kind is MetricKind.EXTERNAL:
            made["metric_labels"] = {key: named(text, name, namespace) for key, text in metric.labels.items()}
    return made
