"""Who may connect to which pods."""

from collections.abc import Mapping, Sequence

import pulumi

from components.kit.kubernetes import meta, networking
from components.kit.options import child


def allow_ingress(
    name: str,
    metadata: meta.v1.ObjectMetaArgs,
    labels: Mapping[str, str],
    ports: Sequence[int],
    peers: Sequence[networking.v1.NetworkPolicyPeerArgs] | None,
    parent: pulumi.Resource,
) -> networking.v1.NetworkPolicy:
    """Declare that `peers` (everybody when None) reach `ports` of the pods with these labels."""
    rule = networking.v1.NetworkPolicyIngressRuleArgs(
        ports=[networking.v1.NetworkPolicyPortArgs(port=port, protocol="TCP") for port in ports], from_=peers
    )
    return networking.v1.NetworkPolicy(
        name,
        metadata=metadata,
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(match_labels=labels), policy_types=["Ingress"], ingress=[rule]
        ),
        opts=child(parent),
    )


def deny_ingress(name: str, namespace: pulumi.Input[str], opts: pulumi.ResourceOptions) -> networking.v1.NetworkPolicy:
    """Declare that nobody reaches the pods of a namespace but those whom another policy lets in."""
    return networking.v1.NetworkPolicy(
        name,
        metadata=meta.v1.ObjectMetaArgs(name="default-deny", namespace=namespace),
        spec=networking.v1.NetworkPolicySpecArgs(pod_selector=meta.v1.LabelSelectorArgs(), policy_types=["Ingress"]),
        opts=opts,
    )


def namespace_peer(namespace: pulumi.Input[str]) -> networking.v1.NetworkPolicyPeerArgs:
    """Return all pods of a namespace."""
    label = {"kubernetes.io/metadata.name": namespace}
    return networking.v1.NetworkPolicyPeerArgs(namespace_selector=meta.v1.LabelSelectorArgs(match_labels=label))


def app_peer(app: str) -> networking.v1.NetworkPolicyPeerArgs:
    """Return the pods of an app in the policy's own namespace."""
    return networking.v1.NetworkPolicyPeerArgs(pod_selector=meta.v1.LabelSelectorArgs(match_labels={"app": app}))
