"""What carries a stack's labels in a cluster, and whether the engine knows of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.cluster.ownership import PROJECT_LABEL, STACK_LABEL, field_manager
from components.cluster.rights import DEPLOY
from delivery.clients.kubectl import Kubectl
from delivery.clients.plan import Plan, Step
from delivery.errors import DeliveryError

# The API server's own records; and what controllers make with the labels of a Service and without its name.
_OTHERS = ("events", "events.events.k8s.io", "endpoints")
_PREFIX = "kubernetes:"
# The provider's own field managers, where it takes no other name.
_ENGINE = "pulumi-kubernetes-"
# Deleted in this order: what is in a namespace goes with it, and the objects of a definition with that.
_LAST = ("Namespace", "CustomResourceDefinition")
# How the API server says that a user has no right.
_FORBIDDEN = "(Forbidden)"
# How kubectl and the API server say that there is no such kind: somebody takes a definition away, or brings one.
_NO_KIND = ("the server doesn't have a resource type", "the server could not find the requested resource")
_TRIES = 5


# Group, kind, namespace (None where nobody knows it yet) and name.
Key = tuple[str, str, str | None, str]


@dataclass(frozen=True)
class Owned:
    """An object: its kind, as `api_version` has it, its namespace (empty where it has none) and its name."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Owned":
        """Return what an object is."""
        metadata = item["metadata"]
        return cls(item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"])

    @property
    def key(self) -> Key:
        """What is the same under every version of its API."""
        return self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name

    @property
    def reference(self) -> str:
        """What kubectl calls it: `kind.version.group/name`."""
        group, _, version = self.api_version.rpartition("/")
        kind = f"{self.kind.lower()}.{version}.{group}" if group else self.kind.lower()
        return f"{kind}/{self.name}"

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        rest = ", with everything in it" if self.kind == "Namespace" else ""
        return f"{self.kind} {self.name}{place}{rest}"


def owned(kubectl: Kubectl, project: str, stack: str) -> list[Owned]:
    """Return the objects of every kind that carry the stack's labels, but those that another object owns.

    Of a user with no rights but those in the stack's namespaces: the objects of the kinds that these are about. Raise
    DeliveryError where the cluster does not answer, or does not let this user list one of them.
    """
    items = _items(kubectl, project, stack)
    objects = {Owned.of(item) for item in items if not item["metadata"].get("ownerReferences")}
    return sorted(objects, key=lambda item: (item.namespace, item.kind, item.name, item.api_version))


def touched(kubectl: Kubectl, project: str, stack: str, since: float) -> set[Key]:
    """Return the objects in which the engine has changed something for this stack since a time (seconds since 1970)."""
    manager = field_manager(project, stack)
    return {
        key
        for key, item in managed(kubectl, project, stack).items()
        for entry in item["metadata"].get("managedFields") or ()
        if entry.get("manager") == manager or entry.get("manager", "").startswith(_ENGINE)
        # The API server gives no time to who has applied what was there already.
        if "time" in entry and datetime.fromisoformat(entry["time"]).timestamp() >= since
    }


def managed(kubectl: Kubectl, project: str, stack: str) -> dict[Key, dict[str, Any]]:
    """Return the objects of every kind that carry the stack's labels, each with its managed fields.

    Which ones, and when DeliveryError is raised, is as with `owned`.
    """
    return {Owned.of(item).key: item for item in _items(kubectl, project, stack, "--show-managed-fields")}


def _items(kubectl: Kubectl, project: str, stack: str, *options: str) -> list[dict[str, Any]]:
    marked = ("--selector", f"{PROJECT_LABEL}={project},{STACK_LABEL}={stack}", *options)
    for remaining in reversed(range(_TRIES)):
        known = kubectl.run("api-resources", "--verbs=list,delete", "-o", "name").split()
        kinds = [name for name in known if name not in _OTHERS]
        try:
            return kubectl.objects("get", ",".join(kinds), "--all-namespaces", *marked)
        except DeliveryError as error:
            if _FORBIDDEN in str(error):
                break
            if not remaining or not any(words in str(error) for words in _NO_KIND):
                raise
    return list(_in_own_namespaces(kubectl, kinds, marked))


def _in_own_namespaces(kubectl: Kubectl, kinds: Sequence[str], marked: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the stack's namespaces and what is in them: who has rights there alone has made nothing elsewhere."""
    given = {
        f"{resource}.{rule.group}" if rule.group else resource
        for rule in DEPLOY
        if "list" in rule.verbs and not rule.names
        for resource in rule.resources
    }
    wanted = ",".join(name for name in kinds if name in given and name != "namespaces")
    namespaces = kubectl.objects("get", "namespaces", *marked)
    yield from namespaces
    for namespace in namespaces:
        yield from kubectl.objects("--namespace", namespace["metadata"]["name"], "get", wanted, *marked)


def unknown(objects: Iterable[Owned], plan: Plan) -> list[Owned]:
    """Return the objects that a plan does not have: neither in the stack's state nor in what the program declares."""
    known = {key for step in plan.steps for key in _keys(step)}
    return [item for item in objects if not known & {item.key, (*item.key[:2], None, item.name)}]


def delete(kubectl: Kubectl, objects: Iterable[Owned]) -> None:
    """Delete objects and wait for their end; raise DeliveryError with what kubectl says."""
    for item in sorted(objects, key=_order):
        place = ("--namespace", item.namespace) if item.namespace else ()
        kubectl.run(*place, "delete", item.reference, "--ignore-not-found", "--wait", "--timeout=3m")


def _order(item: Owned) -> tuple[int, bool]:
    return _LAST.index(item.kind) if item.kind in _LAST else -1, not item.namespace


def _keys(step: Step) -> set[Key]:
    """Return the objects that a step is about, by what the state says and by what the program declares."""
    declared = {(*kind, *step.declared) for kind in _kinds(step.type)} if step.declared else set()
    return keys(step.type, step.id) | declared


def keys(resource: str, identity: str) -> set[Key]:
    """Return the object that a resource in a state is: one, or none where it is no object of a cluster."""
    namespace, _, name = identity.rpartition("/")
    return {(*kind, namespace, name) for kind in _kinds(resource)} if identity else set()


def _kinds(resource: str) -> list[tuple[str, str]]:
    """Return group and kind of a resource's type."""
    if not resource.startswith(_PREFIX) or resource.count(":") != 2:
        return []
    _, api, kind = resource.split(":")
    group = api.rpartition("/")[0]
    return [("" if group == "core" else group, kind)]
