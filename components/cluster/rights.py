"""What each role may do in which namespace of an environment: the one table behind roles, documentation and tests.

The built-in cluster roles `view` and `edit` are not used: `edit` makes tokens, impersonates service accounts, reads
Secrets and opens shells; both grow by whatever definitions a cluster's owner aggregates to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.kit.names import REGISTRY_LOGIN, TENSORBOARD, TRACKING

READ = ("get", "list", "watch")
CHANGE = ("create", "update", "patch", "delete")
SERVING_API = "serving.kserve.io"
GATEWAY_API = "gateway.networking.k8s.io"
TRAINER_API = "trainer.kubeflow.org"
RBAC_API = "rbac.authorization.k8s.io"
KEDA_API = "keda.sh"
CLAIMS_API = "resource.k8s.io"
KARPENTER_API = "karpenter.sh"
GPU_OPERATOR_API = "nvidia.com"
ECK_KINDS = {f"{name}.k8s.elastic.co": kinds for name, kinds in (
    ("elasticsearch", "elasticsearches"), ("kibana", "kibanas"), ("logstash", "logstashes"), ("beat", "beats"),
)}  # fmt: skip
# API groups of Karpenter's node classes, with their kinds.
NODE_CLASSES = {"karpenter.k8s.aws": "ec2nodeclasses", "karpenter.kwok.sh": "kwoknodeclasses"}


@dataclass(frozen=True)
class Rule:
    """Verbs on resources of an API group; `names` limits them to objects of these names."""

    group: str
    resources: Sequence[str]
    verbs: Sequence[str]
    names: Sequence[str] = ()


# Everything but Secrets and service accounts.
VIEW = (
    Rule(
        "",
        (
            "configmaps", "endpoints", "events", "limitranges", "namespaces", "persistentvolumeclaims", "pods",
            "pods/log", "pods/status", "resourcequotas", "services",
        ),
        READ,
    ),
    Rule("apps", ("daemonsets", "deployments", "replicasets", "statefulsets"), READ),
    Rule("autoscaling", ("horizontalpodautoscalers",), READ),
    Rule("batch", ("cronjobs", "jobs"), READ),
    Rule(TRAINER_API, ("trainjobs", "trainingruntimes"), READ),
    Rule("discovery.k8s.io", ("endpointslices",), READ),
    Rule("events.k8s.io", ("events",), READ),
    Rule("networking.k8s.io", ("networkpolicies",), READ),
    Rule("policy", ("poddisruptionbudgets",), READ),
    Rule(SERVING_API, ("inferenceservices", "servingruntimes"), READ),
)  # fmt: skip
# `stellwerk runs` and a browser: a forwarded port to the pods of tracking server and TensorBoard, and to no other.
# kubectl asks by GET (WebSockets), an older one by POST.
_RUNS = (Rule("", ("pods/portforward",), ("get", "create"), (f"{TRACKING}-0", f"{TENSORBOARD}-0")),)
_JOBS = (
    Rule("batch", ("jobs",), ("create", "delete")),
    # Its Jobs are Kubeflow Trainer's.
    Rule(TRAINER_API, ("trainjobs",), ("create", "delete")),
)
# Deleting a pod is how it is restarted; scaling touches no pod template, so it reaches no Secret.
_RESTART = (
    Rule("", ("pods",), ("delete",)),
    Rule("", ("pods/eviction",), ("create",)),
    Rule("apps", ("deployments/scale", "statefulsets/scale"), ("get", "update", "patch")),
)
_CONFIGURE = (Rule("", ("configmaps",), CHANGE),)

# role -> purpose of the namespace -> rules. Namespaces of other purposes (the controllers') belong to nobody.
RIGHTS: Mapping[str, Mapping[str, Sequence[Rule]]] = {
    "developers": {
        "platform": (*VIEW, *_RUNS),
        "training": (*VIEW, *_JOBS),
        "serving": VIEW,
    },
    "operators": {
        "platform": (*VIEW, *_RUNS, *_RESTART),
        "training": (
            *VIEW,
            *_RESTART,
            *_CONFIGURE,
            Rule("batch", ("jobs",), CHANGE),
            Rule(TRAINER_API, ("trainjobs",), CHANGE),
        ),
        "serving": (
            *VIEW,
            *_RESTART,
            *_CONFIGURE,
            Rule("apps", ("deployments",), ("update", "patch")),
            Rule(SERVING_API, ("inferenceservices",), CHANGE),
        ),
    },
}

# What `pulumi up` and the commands do in the namespaces of an environment whose cluster is somebody else's: these have
# made the namespaces. Whoever makes roles needs the rights that these give: those of the table above are among them.
DEPLOY = (
    *VIEW,
    *_RUNS,
    *_RESTART,
    Rule(
        "",
        (
            "configmaps",
            "limitranges",
            "persistentvolumeclaims",
            "resourcequotas",
            "secrets",
            "serviceaccounts",
            "services",
        ),
        (*READ, *CHANGE),
    ),
    Rule("apps", ("deployments", "statefulsets"), CHANGE),
    Rule("autoscaling", ("horizontalpodautoscalers",), CHANGE),
    Rule(KEDA_API, ("scaledobjects",), (*READ, *CHANGE)),
    Rule("batch", ("cronjobs", "jobs"), CHANGE),
    Rule(TRAINER_API, ("trainjobs", "trainingruntimes"), CHANGE),
    Rule(CLAIMS_API, ("resourceclaimtemplates",), (*READ, *CHANGE)),
    *(Rule(group, (kinds,), (*READ, *CHANGE)) for group, kinds in ECK_KINDS.items()),
    Rule("networking.k8s.io", ("ingresses",), (*READ, *CHANGE)),
    Rule("networking.k8s.io", ("networkpolicies",), CHANGE),
    Rule("policy", ("poddisruptionbudgets",), CHANGE),
    Rule(RBAC_API, ("rolebindings", "roles"), (*READ, *CHANGE)),
    # A preview tries out a binding before its role is there, and the API server can't hold a role that is not there
    # against the rights of who asks. The roles themselves it never lets give more than these rights.
    Rule(RBAC_API, ("roles",), ("bind",), (*RIGHTS, REGISTRY_LOGIN)),
    Rule(SERVING_API, ("inferenceservices", "servingruntimes"), CHANGE),
    Rule(GATEWAY_API, ("httproutes",), (*READ, *CHANGE)),
)
# And with the namespaces themselves, by their names.
DEPLOY_NAMESPACES = ("get", "update", "patch", "delete")
# The engine waits for the end of a namespace by watching all of them: without this right it waits for ever.
SEE_NAMESPACES = Rule("", ("namespaces",), ("list", "watch"))

# What the stack that owns a cluster makes there besides: an administrator's rights, all in all.
_OWNERS = (*READ, *CHANGE)
OWN = (
    Rule("", ("namespaces", "nodes"), _OWNERS),
    Rule("apps", ("daemonsets",), _OWNERS),
    Rule(RBAC_API, ("clusterrolebindings", "clusterroles"), _OWNERS),
    Rule(
        "admissionregistration.k8s.io",
        (
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ),
        _OWNERS,
    ),
    Rule("apiextensions.k8s.io", ("customresourcedefinitions",), _OWNERS),
    Rule("scheduling.k8s.io", ("priorityclasses",), _OWNERS),
    Rule(SERVING_API, ("clusterservingruntimes",), _OWNERS),
    Rule(KARPENTER_API, ("nodepools",), _OWNERS),
    *(Rule(group, (kinds,), _OWNERS) for group, kinds in NODE_CLASSES.items()),
    Rule(GPU_OPERATOR_API, ("clusterpolicies",), _OWNERS),
)
