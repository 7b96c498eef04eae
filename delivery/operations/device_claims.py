"""Devices that pods claim (DRA): how many a pod asks for, and how many of them nodes have left."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from delivery.clients.kubectl import Kubectl
from delivery.errors import DeliveryError
from delivery.operations.workloads import Planned
from infra.services.node_pools import CLAIMED

Object = Mapping[str, Any]
# Namespace and name of a template of claims, with the devices of each class that a claim of it has.
Templates = Mapping[tuple[str, str], Counter[str]]

TEMPLATES = "resourceclaimtemplates.resource.k8s.io"
_CLAIMS, _SLICES = "resourceclaims.resource.k8s.io", "resourceslices.resource.k8s.io"
_CLASSES = "deviceclasses.resource.k8s.io"
_TEMPLATE = "ResourceClaimTemplate"
# Classes say with CEL which devices they are; nearly all name a driver.
_DRIVER = re.compile(r"""device\.driver\s*==\s*["']([^"']+)["']""")


@dataclass(frozen=True)
class Offer:
    """How much nodes have of something, by their names, and how much of it is taken."""

    sizes: Mapping[str, float]
    taken: Mapping[str, float]

    @property
    def free(self) -> dict[str, float]:
        """Return what is left on each node."""
        return {node: size - self.taken.get(node, 0) for node, size in self.sizes.items()}


def counted(wanted: Planned, items: Sequence[Object]) -> tuple[Planned, list[dict[str, Any]]]:
    """Return a plan and a cluster's objects in which pods ask for the devices that they claim, as for a resource.

    Nobody hands out claims where a plan is placed. Claims that are not of a template are left out.
    """
    templates = {_key(item): _asked(item["spec"]["spec"]) for item in (*items, *wanted.objects) if _is_template(item)}
    works = tuple(
        replace(work, template=_with_devices(work.template, work.owner.namespace, templates))
        for work in wanted.workloads
    )
    objects = tuple(item for item in wanted.objects if not _is_template(item))
    known = [_of_item(item, templates) for item in items if not _is_template(item)]
    return replace(wanted, workloads=works, objects=objects), known


def claimed(kubectl: Kubectl, pod: Object, nodes: Sequence[str]) -> list[tuple[str, float, Offer]]:
    """Return by class how many devices a pod claims, and what these nodes have of its driver's.

    Empty where it claims none, or the cluster's devices may not be seen.
    """
    names = _template_names(pod["spec"])
    if not names:
        return []
    namespace = pod["metadata"]["namespace"]
    try:
        templates = [_items(kubectl, TEMPLATES, "--namespace", namespace), _items(kubectl, _CLASSES)]
        slices, claims = _items(kubectl, _SLICES), _items(kubectl, _CLAIMS, "--all-namespaces")
    except DeliveryError:
        return []
    known = {_key(item): _asked(item["spec"]["spec"]) for item in templates[0]}
    drivers = {item["metadata"]["name"]: _driver(item) for item in templates[1]}
    asked = sum((known.get((namespace, name), Counter()) for name in names), Counter[str]())
    return [(name, count, _offer(nodes, slices, claims, drivers.get(name))) for name, count in asked.items()]


def _offer(nodes: Iterable[str], slices: Iterable[Object], claims: Iterable[Object], driver: str | None) -> Offer:
    """Return the devices that nodes have, those of a driver alone where it is known, and which are allocated."""
    sizes, taken = dict.fromkeys(nodes, 0.0), dict.fromkeys(nodes, 0.0)
    places: dict[tuple[str, str, str], str] = {}
    for spec in (item["spec"] for item in slices):
        if spec.get("nodeName") in sizes and driver in (None, spec["driver"]):
            for device in spec.get("devices") or []:
                places[spec["driver"], spec["pool"]["name"], device["name"]] = spec["nodeName"]
    for place in places.values():
        sizes[place] += 1
    for claim in claims:
        allocation = (claim.get("status") or {}).get("allocation") or {}
        for each in (allocation.get("devices") or {}).get("results") or []:
            if node := places.get((each["driver"], each["pool"], each["device"])):
                taken[node] += 1
    return Offer(sizes, taken)


def devices_of(slices: Iterable[Object], nodes: Iterable[str]) -> int:
    """Return how many devices drivers offer on these nodes."""
    return int(sum(_offer(nodes, slices, (), None).sizes.values()))


def _driver(device_class: Object) -> str | None:
    selectors = device_class["spec"].get("selectors") or []
    drivers = [_DRIVER.findall((each.get("cel") or {}).get("expression", "")) for each in selectors]
    return next((names[0] for names in drivers if names), None)


def _of_item(item: Object, templates: Templates) -> dict[str, Any]:
    """Return an object of the cluster whose pods, or which as a pod, asks for what is claimed."""
    namespace = item["metadata"].get("namespace", "")
    if item["kind"] == "Pod":
        return dict(_with_devices(item, namespace, templates))
    if template := (item.get("spec") or {}).get("template"):
        return {**item, "spec": {**item["spec"], "template": _with_devices(template, namespace, templates)}}
    return dict(item)


def _with_devices(template: Object, namespace: str, templates: Templates) -> Object:
    spec = template.get("spec") or {}
    amounts: Counter[str] = sum(
        (templates.get((namespace, name), Counter()) for name in _template_names(spec)), Counter[str]()
    )
    if not amounts:
        return template
    first, *others = spec["containers"]
    given = first.get("resources") or {}
    limits = {**(given.get("limits") or {}), **{CLAIMED + name: str(count) for name, count in amounts.items()}}
    containers = [{**first, "resources": {**given, "limits": limits}}, *others]
    return {**template, "spec": {**spec, "containers": containers}}


def _template_names(spec: Object) -> list[str]:
    named = (each.get("resourceClaimTemplateName") for each in spec.get("resourceClaims") or [])
    return [name for name in named if name]


def _asked(spec: Object) -> Counter[str]:
    """Return how many devices of each class a claim asks for, where it says a number."""
    asked: Counter[str] = Counter()
    for each in (spec.get("devices") or {}).get("requests") or []:
        exactly = each.get("exactly") or {}
        if exactly.get("allocationMode", "ExactCount") == "ExactCount" and exactly.get("deviceClassName"):
            asked[exactly["deviceClassName"]] += int(exactly.get("count") or 1)
    return asked


def _is_template(item: Object) -> bool:
    return bool(item["kind"] == _TEMPLATE)


def _key(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _items(kubectl: Kubectl, *what: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(kubectl.run("get", *what, "-o", "json"))["items"]
    return items
