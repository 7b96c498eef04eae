"""Who may do what in an environment, written down a second time, and how a cluster is asked for it."""

import json
from collections.abc import Callable, Mapping

from tests.support.project import Project

# kubectl with its arguments, and what it reads from standard input: exit code, and both outputs.
Kubectl = Callable[..., tuple[int, str]]
# verb, resource with its group, names it is limited to
Right = tuple[str, str, tuple[str, ...]]

GROUPS = {"developers": "ml-engineers", "operators": "platform-team"}
_SEEN = (
    "configmaps endpoints events limitranges namespaces persistentvolumeclaims pods pods/log pods/status "
    "resourcequotas services daemonsets.apps deployments.apps replicasets.apps statefulsets.apps "
    "horizontalpodautoscalers.autoscaling cronjobs.batch jobs.batch endpointslices.discovery.k8s.io "
    "events.events.k8s.io networkpolicies.networking.k8s.io poddisruptionbudgets.policy "
    "inferenceservices.serving.kserve.io servingruntimes.serving.kserve.io "
    "trainjobs.trainer.kubeflow.org trainingruntimes.trainer.kubeflow.org"
)
_SCALE = "deployments.apps/scale statefulsets.apps/scale"
_CHANGE = "create update patch delete"
_VIEW = [("get list watch", _SEEN)]
_RESTART = [("delete", "pods"), ("create", "pods/eviction"), ("get update patch", _SCALE)]

# role -> purpose -> verbs and resources; `resource=name,name` is limited to those names
ALLOWED: Mapping[str, Mapping[str, list[tuple[str, str]]]] = {
    "developers": {
        "platform": [*_VIEW, ("get create", "pods/portforward=tracking-0,tensorboard-0")],
        "training": [*_VIEW, ("create delete", "jobs.batch trainjobs.trainer.kubeflow.org")],
        "serving": _VIEW,
    },
    "operators": {
        "platform": [*_VIEW, *_RESTART, ("get create", "pods/portforward=tracking-0,tensorboard-0")],
        "training": [*_VIEW, *_RESTART, (_CHANGE, "configmaps jobs.batch trainjobs.trainer.kubeflow.org")],
        "serving": [
            *_VIEW, *_RESTART, (_CHANGE, "configmaps inferenceservices.serving.kserve.io"),
            ("update patch", "deployments.apps"),
        ],
    },
}  # fmt: skip
# Namespaces that belong to no role.
NOBODYS = ("dev-kserve", "dev-logging", "default", "kube-system", "local-path-storage")

# What turned out to lead to root on the node or to other people's data, and its neighbours.
ESCALATIONS: Mapping[str, tuple[str, ...]] = {
    "a token of KServe's controller": ("create", "token", "kserve-controller-manager", "-n", "dev-kserve"),
    "a token in the platform's namespace": ("create", "token", "default", "-n", "dev-platform"),
    "a Secret": ("get", "secrets", "-n", "dev-platform"),
    "the Secrets of models": ("get", "secrets", "-n", "dev-serving"),
    "a binding of its own": (
        "create", "rolebinding", "mine", "--clusterrole=cluster-admin", "--group=platform-team", "-n", "dev-platform",
    ),
    "cluster-admin": ("create", "clusterrolebinding", "mine", "--clusterrole=cluster-admin", "--group=platform-team"),
    "a role of its own": ("create", "role", "mine", "--verb=get", "--resource=secrets", "-n", "dev-serving"),
    "a network policy": ("delete", "networkpolicy", "default-deny", "-n", "dev-platform"),
    "a volume": ("delete", "persistentvolumeclaim", "registry-data", "-n", "dev-platform"),
    "the quota": ("delete", "resourcequota", "quota", "-n", "dev-training"),
    "a pod in default": ("run", "mine", "--image=busybox", "-n", "default"),
    "a pod in kube-system": ("run", "mine", "--image=busybox", "-n", "kube-system"),
    "a pod where the provisioner's run": ("run", "mine", "--image=busybox", "-n", "local-path-storage"),
    "a pod beside the log shipper": ("run", "mine", "--image=busybox", "-n", "dev-logging"),
    "a pod in the platform's namespace": ("run", "mine", "--image=busybox", "-n", "dev-platform"),
    "a namespace": ("create", "namespace", "mine"),
    "the labels of a namespace": ("label", "namespace", "dev-serving", "pod-security.kubernetes.io/enforce-"),
}  # fmt: skip
# Requests that kubectl has no command for, or makes only after it has found the object: the path and the body.
RAW: Mapping[str, str] = {
    "a shell": "/api/v1/namespaces/dev-platform/pods/log-store-0/exec?command=sh&stdin=true",
    "an attached terminal": "/api/v1/namespaces/dev-serving/pods/any/attach?stdin=true",
    "a port of the registry's pod": "/api/v1/namespaces/dev-platform/pods/registry-0/portforward",
    "a container in a running pod": "/api/v1/namespaces/dev-platform/pods/tracking-0/ephemeralcontainers",
    "the proxy of the API server": "/api/v1/namespaces/dev-platform/services/tracking/proxy/",
}


def administrator(project: Project) -> Kubectl:
    """Return kubectl as the cluster's administrator has it."""

    def call(*arguments: str, stdin: str = "") -> tuple[int, str]:
        done = project.run("kubectl", *arguments, stdin=stdin)
        return done.returncode, done.stdout + done.stderr

    return call


def impersonated(kubectl: Kubectl, group: str | None, *arguments: str, stdin: str = "") -> tuple[int, str]:
    """Run kubectl as a user without any right of their own but the group's."""
    groups = (f"--as-group={group}",) if group else ()
    return kubectl(*arguments, "--as=somebody", *groups, stdin=stdin)


def rights(kubectl: Kubectl, group: str, namespace: str) -> set[Right]:
    """Return what the group gives its members in a namespace, beyond what everybody has who is known to the cluster."""
    return _rules(kubectl, group, namespace) - _rules(kubectl, None, namespace)


def expected(role: str, purpose: str) -> set[Right]:
    """Return the same, as it should be."""
    wanted: set[Right] = set()
    for verbs, resources in ALLOWED[role][purpose]:
        for verb in verbs.split():
            for resource in resources.split():
                kind, _, names = resource.partition("=")
                wanted.add((verb, kind, tuple(names.split(",")) if names else ()))
    return wanted


def _rules(kubectl: Kubectl, group: str | None, namespace: str) -> set[Right]:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    code, text = impersonated(kubectl, group, "create", f"--raw={path}", "-f", "-", stdin=json.dumps(review))
    assert code == 0, text
    status = json.loads(text)["status"]
    assert not status["incomplete"], status
    return {
        (verb, _title(api, resource), tuple(rule.get("resourceNames", ())))
        for rule in status["resourceRules"]
        for verb in rule["verbs"]
        for api in rule["apiGroups"]
        for resource in rule["resources"]
    }


def _title(group: str, resource: str) -> str:
    """`deployments.apps/scale`, as `kubectl auth can-i --list` shows it."""
    kind, slash, part = resource.partition("/")
    return f"{kind}{'.' + group if group else ''}{slash}{part}"
