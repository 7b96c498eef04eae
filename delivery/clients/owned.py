"""What carries a stack's labels in a cluster, and whether the engine knows of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from components.cluster.ownership import PROJECT_LABEL, STACK_LABEL
from delivery.clients.kubectl import Kubectl
from delivery.clients.plan import Plan, Step

# The API server's own records; and what controllers make with the labels of a Service and without its name.
_OTHERS = ("events", "events.events.k8s.io", "endpoints")
_PREFIX = "kubernetes:"
# Deleted in this order: what is in a namespace goes with it, and the objects of a definition with that.
_LAST = ("Namespace", "CustomResourceDefinition")


@dataclass(frozen=True)
class Owned:
    """An object: its kind, as `api_version` has it, its namespace (empty where it has none) and its name."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def key(self) -> tuple[str, str, str, str]:
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

    Raise DeliveryError where the cluster does not answer, or does not let this user list a kind.
    """
    kinds = kubectl.run("api-resources", "--verbs=list,delete", "-o", "name").split()
    selector = f"{PROJECT_LABEL}={project},{STACK_LABEL}={stack}"
    wanted = ",".join(name for name in kinds if name not in _OTHERS)
    items = kubectl.objects("get", wanted, "--all-namespaces", "--selector", selector)
    objects = {_owned(item) for item in items if not item["metadata"].get("ownerReferences")}
    return sorted(objects, key=lambda item: (item.namespace, item.kind, item.name, item.api_version))


def unknown(objects: Iterable[Owned], plan: Plan) -> list[Owned]:
    """Return the objects that a plan does not have: neither in the stack's state nor in what the program declares."""
    known = {key for step in plan.steps for key in _keys(step)}
    return [item for item in objects if not known & {item.key, (*item.key[:2], None, item.name)}]


def delete(kubectl: Kubectl, objects: Iterable[Owned]) -> None:
    """Delete objects and wait for their end; raise DeliveryError with what kubectl says."""
    for item in sorted(
        objects, key=lambda item: (_LAST.index(item.kind) if item.kind in _LAST else -1, not item.namespace)
    ):
        place = ("--namespace", item.namespace) if item.namespace else ()
        kubectl.run(*place, "delete", item.reference, "--ignore-not-found", "--wait", "--timeout=3m")


def _order(item: Owned) -> tuple[int, bool]:
    return _LAST.index(item.kind) if item.kind in _LAST else -1, not item.namespace


def _owned(item: dict[str, Any]) -> Owned:
    metadata = item["metadata"]
    return Owned(item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"])


def _keys(step: Step) -> set[tuple[str, str, str | None, str]]:
    """Return the objects that a step is about, by what the state says and by what the program declares.

    None stands for a namespace that nobody knows yet.
    """
    if not step.type.startswith(_PREFIX) or step.type.count(":") != 2:
        return set()
    _, api, kind = step.type.split(":")
    group = api.rpartition("/")[0]
    places: list[tuple[str | None, str]] = [step.declared] if step.declared else []
    if step.id:
        namespace, _, name = step.id.rpartition("/")
        places.append((namespace, name))
    return {("" if group == "core" else group, kind, namespace, name) for namespace, name in places}
