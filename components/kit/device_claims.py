"""Devices that pods get by a claim (DRA): the driver of the device's class hands them out, and nothing is counted."""

from typing import TypedDict

import pulumi

from components.kit.custom import CustomResource
from components.kit.kubernetes import meta
from components.kit.options import child

API = "resource.k8s.io/v1"
TEMPLATE = "ResourceClaimTemplate"
# What a pod calls its claim, and a claim what it asks for.
_DEVICES = "devices"


class DeviceClaimArgs(TypedDict):
    """Devices that each pod claims, for itself alone."""

    device_class: str
    """DeviceClass of the cluster, such as `gpu.nvidia.com`."""
    count: int
    """Number of devices, at least 1."""


def declare_template(
    name: str, workload: str, namespace: pulumi.Input[str], claim: DeviceClaimArgs, parent: pulumi.Resource
) -> CustomResource:
    """Declare what each pod of a workload that names it gets a claim of its own from."""
    exactly = {"deviceClassName": claim["device_class"], "allocationMode": "ExactCount", "count": claim["count"]}
    return CustomResource(
        f"{name}-devices",
        api_version=API,
        kind=TEMPLATE,
        metadata=meta.v1.ObjectMetaArgs(name=_title(workload, claim), namespace=namespace),
        spec={"spec": {"devices": {"requests": [{"name": _DEVICES, "exactly": exactly}]}}},
        opts=child(parent),
    )


def claims(workload: str, claim: DeviceClaimArgs) -> list[dict[str, str]]:
    """Return the claims of the workload's pods, in the API's spelling."""
    return [{"name": _DEVICES, "resourceClaimTemplateName": _title(workload, claim)}]


def claimed() -> list[dict[str, str]]:
    """Return which of its pod's claims a container uses."""
    return [{"name": _DEVICES}]


def _title(workload: str, claim: DeviceClaimArgs) -> str:
    # A template never changes: another one has another name, by which pods are made anew.
    return f"{workload}-{claim['count']}-{claim['device_class']}"
