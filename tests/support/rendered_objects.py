"""Objects that components declare, put onto a control plane as an update would."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from delivery.clients.control_plane import ControlPlane
from tests.components.mocks import declared
from tests.support.tools import eventually

Object = dict[str, Any]
# A field that the API server does not know is an error, not dropped.
_STRICT = "?fieldValidation=Strict"
# A megabyte: the loader in C takes a second, the other one ten.
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def objects_of(declare: Callable[[], object], *kinds: str) -> list[Object]:
    """Return what a declaration of components declares of these kinds."""
    program = declared(declare)
    return [dict(inputs) for kind in kinds for inputs in program.of_kind(kind).values()]


def accept(plane: ControlPlane, place: str, item: Mapping[str, Any], **more: Any) -> Object:
    """Return an object as the API server has made it at a place; raise RefusedError where it does not know a field."""
    return plane.create(f"{place}{_STRICT}", {**item, **more})


def define(plane: ControlPlane, file: Path) -> None:
    """Install the definition of a file, and wait until its objects are served."""
    definition = yaml.load(file.read_text(), yaml.CSafeLoader)
    definition.pop("status", None)
    made = plane.create(_DEFINITIONS, definition)

    def established() -> bool:
        status = plane.read(f"{_DEFINITIONS}/{made['metadata']['name']}").get("status", {})
        conditions = status.get("conditions") or []
        return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

    eventually(established, file)
    group, version = definition["spec"]["group"], definition["spec"]["versions"][0]["name"]
    eventually(lambda: plane.client.get(f"/apis/{group}/{version}").is_success, file)


def simulated_node(plane: ControlPlane, name: str, zone: str) -> None:
    """Make a node without a machine, and wait until pods may go there."""
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone, "kubernetes.io/os": "linux"}
    capacity = '{"cpu": "8", "memory": "32Gi", "pods": "50"}'
    annotations = {"kwok.x-k8s.io/node": "fake", "stellwerk.dev/capacity": capacity}
    labels["stellwerk.dev/simulated"] = "true"
    plane.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels, "annotations": annotations}})

    def ready() -> bool:
        node = plane.read(f"/api/v1/nodes/{name}")
        conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", [])}
        return conditions.get("Ready") == "True" and bool(node["status"].get("allocatable"))

    eventually(ready, plane.kubeconfig)
