"""Fields of an object of an API: written as the SDK's argument classes are, kept as they go over the wire."""

from collections.abc import Mapping
from functools import cache
from typing import Any

# Where the API's spelling is not what its words make; a test holds these against the SDK.
_SPELLED = {
    "allowed_csi_drivers": "allowedCSIDrivers",
    "boot_id": "bootID",
    "client_ip": "clientIP",
    "cluster_ip": "clusterIP",
    "cluster_ips": "clusterIPs",
    "container_id": "containerID",
    "dataset_uuid": "datasetUUID",
    "disk_uri": "diskURI",
    "downward_api": "downwardAPI",
    "external_id": "externalID",
    "external_ips": "externalIPs",
    "host_ip": "hostIP",
    "host_ipc": "hostIPC",
    "host_ips": "hostIPs",
    "host_pid": "hostPID",
    "image_id": "imageID",
    "load_balancer_ip": "loadBalancerIP",
    "machine_id": "machineID",
    "node_id": "nodeID",
    "non_resource_urls": "nonResourceURLs",
    "pd_id": "pdID",
    "pod_cidr": "podCIDR",
    "pod_cidrs": "podCIDRs",
    "pod_ip": "podIP",
    "pod_ips": "podIPs",
    "provider_id": "providerID",
    "resource_id": "resourceID",
    "scale_io": "scaleIO",
    "set_hostname_as_fqdn": "setHostnameAsFQDN",
    "storage_policy_id": "storagePolicyID",
    "system_uuid": "systemUUID",
    "target_wwns": "targetWWNs",
    "volume_id": "volumeID",
}


@cache
def wire_name(name: str) -> str:
    """Return the API's spelling of a field: `serviceAccountName` of `service_account_name`, `from` of `from_`."""
    if name in _SPELLED:
        return _SPELLED[name]
    first, *others = name.removesuffix("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others)


class Fields(dict[str, Any]):
    """A mapping in the API's spelling, whose fields are attributes in Python's. What is None is absent."""

    def __init__(self, **given: Any) -> None:
        super().__init__({wire_name(name): value for name, value in given.items() if value is not None})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return shown(self.get(wire_name(name)))

    def __setattr__(self, name: str, value: Any) -> None:
        if value is None:
            self.pop(wire_name(name), None)
        else:
            self[wire_name(name)] = value


def shown(value: Any) -> Any:
    """Return an output's value with its fields as attributes, too."""
    if not isinstance(value, Mapping) or isinstance(value, Fields):
        return value
    fields = Fields()
    fields.update(value)
    return fields
