"""Whether the kubeconfig gives the rights that the program and the commands need."""

from collections.abc import Iterable, Iterator

from components.cluster.rights import (
    CLAIMS_API,
    DEPLOY,
    DEPLOY_NAMESPACES,
    ECK_KINDS,
    GATEWAY_API,
    GPU_OPERATOR_API,
    KARPENTER_API,
    KEDA_API,
    NODE_CLASSES,
    OWN,
    SEE_NAMESPACES,
    TRAINER_API,
    Rule,
)
from delivery.clients.cluster_api import ClusterApi, Right
from delivery.operations import target_kinds
from delivery.operations.target_findings import Finding, Verdict
from infra.contract.environment import SERVING, Environment
from infra.services.node_pools import pools

# What the definitions that values need bring: rights on it are asked for where they are needed.
_OF_CHOICE = {
    TRAINER_API: "Kubeflow Trainer", GATEWAY_API: "Gateway API", KEDA_API: "KEDA", KARPENTER_API: "Karpenter",
    GPU_OPERATOR_API: "GPU operator", **dict.fromkeys(ECK_KINDS, "ECK"), **dict.fromkeys(NODE_CLASSES, "Karpenter"),
}  # fmt: skip
_SHOWN = 8


def needed(environment: Environment) -> list[Right]:
    """Return the rights that `pulumi up` and the commands need for an environment whose namespaces are there."""
    namespace, wanted = environment.namespace(SERVING), target_kinds.needed(environment)
    claims = any(pool.device_class for pool in pools(environment))
    shared = environment.cluster.shared
    own = Rule("", ("namespaces",), DEPLOY_NAMESPACES, (namespace,))
    rules = [
        *((rule, namespace) for rule in DEPLOY),
        *((rule, "") for rule in ((SEE_NAMESPACES, own) if shared else OWN)),
    ]
    asked = [
        (rule, place) for rule, place in rules
        if _OF_CHOICE.get(rule.group) in (None, *wanted) and (claims or rule.group != CLAIMS_API)
    ]  # fmt: skip
    return list(dict.fromkeys(right for rule, place in asked for right in _rights(rule, place)))


def _rights(rule: Rule, namespace: str) -> Iterable[Right]:
    return (
        Right(verb, rule.group, resource, namespace, name)
        for resource in rule.resources
        for verb in rule.verbs
        for name in rule.names or ("",)
    )


def check(api: ClusterApi, environment: Environment) -> Iterator[Finding]:
    """Yield whether all rights are there, and else which ones are not."""
    rights = needed(environment)
    namespaces = {each["metadata"]["name"] for each in (api.read("/api/v1/namespaces") or {}).get("items", [])}
    if environment.cluster.shared and environment.namespace(SERVING) not in namespaces:
        # Nobody has made them by what `stellwerk access` prints: the update does.
        rights.append(Right("create", "", "namespaces"))
    denied = api.denied(rights)
    if not denied:
        yield Finding("rights", Verdict.OK, f"all {len(rights)} that were asked for")
        return
    named = "; ".join(map(str, denied[:_SHOWN])) + (
        f"; and {len(denied) - _SHOWN} more" if len(denied) > _SHOWN else ""
    )
    yield Finding("rights", Verdict.MISSING, named, "have the cluster's owner grant them to this kubeconfig's user")
