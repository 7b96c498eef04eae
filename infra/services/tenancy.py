"""The namespaces of an environment, with their quotas, roles and network policies."""

from infra.composition.context import Composition
from infra.composition.handover import Namespaces
from infra.composition.service import Namespace, Service
from infra.contract.environment import PLATFORM


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
    context.give(Namespaces(tenant.namespaces))


SERVICE = Service("tenancy", gives=(Namespaces,), namespaces=(Namespace(PLATFORM),), compose=_compose)
