"""The namespace of what reads the nodes' log files."""

import pulumi

from components.kit.kubernetes import core, meta
from components.kit.network import deny_ingress
from components.kit.options import child


def shipper_namespace(name: str, environment: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    """Declare the shippers' namespace: "restricted" and "baseline" refuse the hostPath volumes they need."""
    namespace = core.v1.Namespace(
        f"{name}-namespace",
        metadata=meta.v1.ObjectMetaArgs(
            name=f"{environment}-logging",
            labels={
                "stellwerk.dev/environment": environment,
                "stellwerk.dev/purpose": "logging",
                "pod-security.kubernetes.io/enforce": "privileged",
            },
        ),
        opts=child(parent),
    )
    title: pulumi.Output[str] = namespace.metadata.name
    deny_ingress(f"{name}-deny", title, child(parent))
    return title
