"""`stellwerk access`: what the owner of a cluster makes once, so that no administrator has to run an environment."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from components.cluster.ownership import PROJECT_LABEL, STACK_LABEL
from components.cluster.rights import DEPLOY, DEPLOY_NAMESPACES, RBAC_API, SEE_NAMESPACES, Rule
from components.kit.names import namespace_labels
from delivery.errors import DeliveryError
from delivery.session import Session

Object = dict[str, Any]
_VERSION = f"{RBAC_API}/v1"
_NAMES = "stellwerk"


class SubjectKind(StrEnum):
    """Who gets the rights."""

    USER = "User"
    GROUP = "Group"
    SERVICE_ACCOUNT = "ServiceAccount"


def access(session: Session, environment: str, kind: SubjectKind, name: str) -> list[Object]:
    """Return the namespaces of an environment, given to its stack, and all rights that `kind` `name` needs there.

    A service account is called `<namespace>/<name>`. Raise DeliveryError where the environment's stack owns its
    cluster, which takes an administrator, or the name is none.
    """
    stack = session.project.stack(environment)
    values = stack.environment
    if not values.cluster.shared:
        raise DeliveryError(
            f"{environment}: cluster.shared is false, so its stack makes what the cluster has once, with the rights "
            "of an administrator; these rights are for an environment on a cluster of somebody else's: set it to true"
        )
    marks = {PROJECT_LABEL: session.engine.project, STACK_LABEL: environment}
    subject = _subject(kind, name)
    names = {namespace.purpose: values.namespace(namespace.purpose) for namespace in stack.namespaces()}
    # By the scope: two environments share none of it.
    outside, inside = f"{_NAMES}:{values.scope}:namespaces", f"{_NAMES}:{values.scope}"
    own = Rule("", ("namespaces",), DEPLOY_NAMESPACES, tuple(names.values()))
    return [
        *(_namespace(title, namespace_labels(values.scope, purpose) | marks) for purpose, title in names.items()),
        _role(outside, [SEE_NAMESPACES, own]),
        _binding("ClusterRoleBinding", outside, {}, outside, subject),
        _role(inside, DEPLOY),
        *(_binding("RoleBinding", _NAMES, {"namespace": title}, inside, subject) for title in names.values()),
    ]


def _subject(kind: SubjectKind, name: str) -> Object:
    if kind is not SubjectKind.SERVICE_ACCOUNT:
        return {"kind": kind.value, "apiGroup": RBAC_API, "name": name}
    namespace, _, own = name.partition("/")
    if not (namespace and own):
        raise DeliveryError(f"{name}: no service account; it is named with its namespace: <namespace>/<name>")
    return {"kind": kind.value, "namespace": namespace, "name": own}


def _namespace(name: str, labels: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _role(name: str, rules: Sequence[Rule]) -> Object:
    return {
        "apiVersion": _VERSION, "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [dict(_rule(rule)) for rule in rules],
    }  # fmt: skip


def _rule(rule: Rule) -> Iterator[tuple[str, list[str]]]:
    yield "apiGroups", [rule.group]
    yield "resources", list(rule.resources)
    yield "verbs", list(rule.verbs)
    if rule.names:
        yield "resourceNames", list(rule.names)


def _binding(kind: str, name: str, place: dict[str, str], role: str, subject: Object) -> Object:
    return {
        "apiVersion": _VERSION, "kind": kind, "metadata": {"name": name, **place},
        "roleRef": {"apiGroup": RBAC_API, "kind": "ClusterRole", "name": role}, "subjects": [subject],
    }  # fmt: skip
