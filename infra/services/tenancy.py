"""The namespaces of an environment, with their quotas, roles and network policies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.composition.context import Composition
from infra.composition.service import Namespace, Service
from infra.contract.environment import PLATFORM

if TYPE_CHECKING:
    import pulumi


@dataclass(frozen=True)
class Namespaces:
    """The names of the namespaces by purpose, known once they are there."""

    by_purpose: Mapping[str, "pulumi.Output[str]"]

    def __getitem__(self, purpose: str) -> "pulumi.Output[str]":
        return self.by_purpose[purpose]


def _compose(context: Composition) -> None:
    from components.cluster.tenant import Tenant

    values = context.environment
    tenant = Tenant(
        "tenant",
        {
            "environment": values.environment.value,
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
    context.give(Namespaces(tenant.namespaces))


SERVICE = Service("tenancy", gives=(Namespaces,), namespaces=(Namespace(PLATFORM),), compose=_compose)
