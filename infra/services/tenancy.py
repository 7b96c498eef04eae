"""The namespaces of an environment, with their quotas, roles and network policies, and the priorities of their pods."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from infra.composition.context import Composition
from infra.composition.handover import Namespaces
from infra.composition.service import Namespace, Service, Stack
from infra.contract.environment import KSERVE, PLATFORM, TRAINING
from infra.contract.priorities import STEPS, class_name
from infra.contract.problems import Problem

if TYPE_CHECKING:
    import pulumi


def _rules(stack: Stack) -> Iterator[Problem]:
    values = stack.environment
    made = {"value": values.priority.value, "others": dict(values.priority.others) or None}
    for key, given in made.items():
        if given is not None and values.cluster.shared:
            yield Problem(
                ("priority", key),
                str(given),
                "null, because cluster.shared is true: who owns the cluster says which of its pods go before others",
                "name classes that there are (training, serving, platform); the owner makes them by `priority.others`",
            )
    if values.scope in values.priority.others:
        yield Problem(
            ("priority", "others", values.scope),
            str(values.priority.others[values.scope]),
            "other environments: this one's own value is priority.value",
            "set priority.value instead",
        )


def _compose(context: Composition) -> None:
    from components.cluster.tenant import Tenant

    values = context.environment
    tenant = Tenant(
        "tenant",
        {
            "environment": values.scope,
            "namespaces": [namespace.purpose for namespace in context.stack.namespaces()],
            "quota": {
                "cpu": values.quota.cpu,
                "memory": values.quota.memory,
                "pods": values.quota.pods,
                "storage": values.quota.storage,
            },
            "node_ports": {PLATFORM: len(context.stack.node_ports())},
            "developers": values.roles.developers,
            "operators": values.roles.operators,
        },
        context.opts,
    )
    context.give(Namespaces(tenant.namespaces, _priorities(context)))


def _priorities(context: Composition) -> "Mapping[str, pulumi.Input[str]]":
    """Return the priority classes by the purpose of the namespace, those that this stack makes once they exist."""
    values, priority = context.environment, context.environment.priority
    classes: dict[str, pulumi.Input[str]] = {name: given for name, given in priority.existing().items() if given}
    wanted = {**priority.others, **({} if priority.value is None else {values.scope: priority.value})}
    if wanted:
        from components.cluster.priority_classes import PriorityClasses

        made = PriorityClasses(
            "priorities",
            {
                "values": {
                    class_name(scope, purpose): value + step
                    for scope, value in wanted.items() for purpose, step in STEPS.items() if purpose != TRAINING
                },
                # A Job may wait: it ends no other pod to begin.
                "patient": {class_name(scope, TRAINING): value for scope, value in wanted.items()},
            },
            context.opts,
        )  # fmt: skip
        if priority.value is not None:
            classes = {purpose: made.names[class_name(values.scope, purpose)] for purpose in STEPS}
    return classes | ({KSERVE: classes[PLATFORM]} if PLATFORM in classes else {})


SERVICE = Service("tenancy", gives=(Namespaces,), rules=_rules, namespaces=(Namespace(PLATFORM),), compose=_compose)
