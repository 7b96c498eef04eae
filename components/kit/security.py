"""Pod Security "restricted", written once: for typed arguments, and in the API's spelling for custom resources."""

from collections.abc import Mapping
from typing import TypedDict

from components.kit.kubernetes import core

USER = 10001
_SECCOMP = "RuntimeDefault"
_DROPPED = ("ALL",)


class PodSecurity(TypedDict):
    """securityContext of a pod in a custom resource."""

    runAsNonRoot: bool
    runAsUser: int
    runAsGroup: int
    fsGroup: int
    seccompProfile: Mapping[str, str]


class ContainerSecurity(TypedDict):
    """securityContext of a container in a custom resource."""

    allowPrivilegeEscalation: bool
    readOnlyRootFilesystem: bool
    runAsNonRoot: bool
    capabilities: Mapping[str, list[str]]


POD_MANIFEST: PodSecurity = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": _SECCOMP},
}
CONTAINER_MANIFEST: ContainerSecurity = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": [*_DROPPED]},
}
SECCOMP = core.v1.SeccompProfileArgs(type=_SECCOMP)
RESTRICTED_POD = core.v1.PodSecurityContextArgs(
    run_as_non_root=POD_MANIFEST["runAsNonRoot"],
    run_as_user=POD_MANIFEST["runAsUser"],
    run_as_group=POD_MANIFEST["runAsGroup"],
    fs_group=POD_MANIFEST["fsGroup"],
    # A volume with many files is not gone through at each start.
    fs_group_change_policy="OnRootMismatch",
    seccomp_profile=SECCOMP,
)
RESTRICTED_CONTAINER = core.v1.SecurityContextArgs(
    allow_privilege_escalation=CONTAINER_MANIFEST["allowPrivilegeEscalation"],
    read_only_root_filesystem=CONTAINER_MANIFEST["readOnlyRootFilesystem"],
    capabilities=core.v1.CapabilitiesArgs(drop=[*_DROPPED]),
)
