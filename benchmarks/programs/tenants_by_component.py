"""Tenants as this project declares them: each by the component."""

import gc

import pulumi

from components.cluster.tenant import Tenant
from components.kit import kubernetes
from components.kit.deletion import delete_with_namespaces

# As the project's own program: nothing of what it declares is ever given up.
gc.disable()

config = pulumi.Config()
side = pulumi.get_project()
provider = kubernetes.Provider("cluster", context=config.require("context"), enable_config_map_mutable=True)
delete_with_namespaces()
for number in range(config.require_int("tenants")):
    Tenant(
        f"tenant-{number}",
        {
            "environment": f"{config.require('run')}-{side}-{number}",
            "namespaces": ["platform", "training", "serving"],
            "quota": {"cpu": "4", "memory": "6Gi", "pods": 40, "storage": "40Gi"},
            "developers": ["ml-engineers"],
            "operators": ["platform-team"],
        },
        pulumi.ResourceOptions(providers=[provider]),
    )
