"""Whether the kubeconfig gives the rights that the program needs."""

from collections.abc import Iterator

from delivery.clients.cluster_api import ClusterApi, Right
from delivery.operations.target_findings import Finding, Verdict
from infra.contract.environment import SERVING, Environment

_VERBS = ("create", "get", "patch", "delete")
# What every environment declares, by API group.
NAMESPACED = {
    "": (
        "configmaps", "limitranges", "resourcequotas", "secrets", "serviceaccounts", "services",
        "persistentvolumeclaims",
    ),
    "apps": ("daemonsets", "deployments", "statefulsets"),
    "batch": ("cronjobs", "jobs"),
    "networking.k8s.io": ("networkpolicies",),
    "policy": ("poddisruptionbudgets",),
    "rbac.authorization.k8s.io": ("rolebindings", "roles"),
    "serving.kserve.io": ("inferenceservices",),
}  # fmt: skip
WIDE = {"": ("namespaces",), "rbac.authorization.k8s.io": ("clusterrolebindings", "clusterroles")}
# What the environment that owns a cluster declares besides.
OWNERS = {
    "": ("nodes",),
    "admissionregistration.k8s.io": (
        "mutatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    ),
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "serving.kserve.io": ("clusterservingruntimes",),
}  # fmt: skip
# What commands ask for.
_ASKED = (("list", "", "pods"), ("get", "", "pods/log"), ("create", "", "pods/portforward"), ("list", "", "events"))
_SHOWN = 8


def needed(environment: Environment) -> list[Right]:
    """Return the rights that `pulumi up` and the commands need for an environment."""
    namespace = environment.namespace(SERVING)
    wide = [WIDE] if environment.cluster.shared else [WIDE, OWNERS]
    rights = [
        Right(verb, group, resource, place)
        for table, place in ((NAMESPACED, namespace), *((table, "") for table in wide))
        for group, resources in table.items()
        for resource in resources
        for verb in _VERBS
    ]
    return rights + [Right(verb, group, resource, namespace) for verb, group, resource in _ASKED]


def check(api: ClusterApi, environment: Environment) -> Iterator[Finding]:
    """Yield whether all rights are there, and else which ones are not."""
    rights = needed(environment)
    denied = api.denied(rights)
    if not denied:
        yield Finding("rights", Verdict.OK, f"all {len(rights)} that were asked for")
        return
    named = "; ".join(map(str, denied[:_SHOWN])) + (
        f"; and {len(denied) - _SHOWN} more" if len(denied) > _SHOWN else ""
    )
    yield Finding("rights", Verdict.MISSING, named, "have the cluster's owner grant them to this kubeconfig's user")
