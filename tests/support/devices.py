"""What a DRA driver publishes: a class of devices, and which of them a node has."""

from typing import Any

from delivery.clients.control_plane import ControlPlane

DRIVER = CLASS = "gpu.example.com"
API = "/apis/resource.k8s.io/v1"


def publish_class(plane: ControlPlane) -> None:
    """Make the class of all devices of the driver."""
    spec = {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}"'}}]}
    about = {"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": CLASS}}
    plane.create(f"{API}/deviceclasses", {**about, "spec": spec})


def publish_devices(plane: ControlPlane, node: str, count: int) -> None:
    """Offer devices of a node, as the driver's own part on that node does."""
    spec: dict[str, Any] = {
        "driver": DRIVER,
        "nodeName": node,
        "pool": {"name": node, "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": f"gpu-{index}"} for index in range(count)],
    }
    about = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": f"{node}-{DRIVER}"}}
    plane.create(f"{API}/resourceslices", {**about, "spec": spec})


def claimed_devices(plane: ControlPlane, namespace: str) -> dict[str, list[tuple[str, str]]]:
    """Return by pod which devices, each with its node, were allocated to it."""
    made: dict[str, list[tuple[str, str]]] = {}
    for claim in plane.read(f"{API}/namespaces/{namespace}/resourceclaims")["items"]:
        status = claim.get("status") or {}
        results = (status.get("allocation") or {}).get("devices", {}).get("results", [])
        for pod in status.get("reservedFor") or []:
            made.setdefault(pod["name"], []).extend((each["pool"], each["device"]) for each in results)
    return made
