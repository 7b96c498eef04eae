"""The runtime that an environment's models are served by: the cluster's, or one of the environment's own."""

from collections.abc import Iterator

from infra.composition import hooks
from infra.composition.context import Composition
from infra.composition.handover import ClusterRuntime, Namespaces, ServingRuntime
from infra.composition.service import Service, Stack, Switch
from infra.contract.environment import SERVING, Environment
from infra.contract.problems import Problem


def runs(environment: Environment) -> bool:
    """Return whether the environment has a runtime of its own, because whoever runs KServe knows nothing of it."""
    return environment.cluster.own_runtime


def _rules(stack: Stack) -> Iterator[Problem]:
    if runs(stack.environment) and not stack.environment.cluster.shared:
        yield Problem(
            ("cluster", "ownRuntime"),
            "true",
            "false, because cluster.shared is false: the stack that runs KServe has a runtime for the whole cluster",
            "remove it, or set cluster.shared to true",
        )


def _compose(context: Composition) -> None:
    from components.serving.model_runtime import ModelRuntime

    made = ModelRuntime("runtime", {"namespace": context.get(Namespaces)[SERVING]}, context.opts)
    context.give(ServingRuntime(made.runtime, context.get(ClusterRuntime).deployment_mode))


def _connect(context: Composition) -> None:
    """Hand on the cluster's."""
    cluster = context.get(ClusterRuntime)
    context.give(ServingRuntime(cluster.name, cluster.deployment_mode))


SERVICE = Service(
    "runtime",
    needs=(Namespaces, ClusterRuntime),
    gives=(ServingRuntime,),
    runs=runs,
    switch=Switch(("cluster", "ownRuntime"), "true", "false"),
    rules=_rules,
    builds=lambda environment, _: {hooks.SERVING: hooks.server(environment)},
    # Where releases enter: a release names the image that serves it.
    builds_in=lambda environment: environment.releases_from is None,
    compose=_compose,
    connect=_connect,
)
