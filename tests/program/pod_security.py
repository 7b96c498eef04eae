"""Pod Security Standards, level "restricted", for pod specs as the API writes them.

Stricter where nothing here needs what the standard still allows: sysctls, SELinux, AppArmor and Windows options.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Spec = Mapping[str, Any]
_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_OPTIONS = ("sysctls", "seLinuxOptions", "windowsOptions", "appArmorProfile")


def containers(pod: Spec) -> Iterator[Spec]:
    """Containers of every kind."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from pod.get(kind, [])


def violations(pod: Spec) -> list[str]:
    """Every rule that the pod breaks."""
    if not any(containers(pod)):
        return ["no containers: this is not a pod"]
    return [*_pod(pod), *(f"{each['name']}: {rule}" for each in containers(pod) for rule in _container(each, pod))]


def _pod(pod: Spec) -> Iterator[str]:
    yield from (key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key))
    for volume in pod.get("volumes", []):
        yield from (f"volume {volume['name']}: {kind}" for kind in sorted(set(volume) - _VOLUMES - {"name"}))
    yield from _identity(pod.get("securityContext", {}))


def _container(container: Spec, pod: Spec) -> Iterator[str]:
    own, outer = container.get("securityContext", {}), pod.get("securityContext", {})
    seccomp = own.get("seccompProfile") or outer.get("seccompProfile") or {}
    capabilities = own.get("capabilities", {})
    probes = [container.get(probe, {}) for probe in _PROBES]
    rules = {
        "privileged": own.get("privileged", False),
        "allowPrivilegeEscalation is not false": own.get("allowPrivilegeEscalation") is not False,
        "runAsNonRoot is not true": own.get("runAsNonRoot", outer.get("runAsNonRoot")) is not True,
        "no seccompProfile": seccomp.get("type") not in ("RuntimeDefault", "Localhost"),
        "capabilities are not dropped": "ALL" not in capabilities.get("drop", []),
        "capabilities are added": bool(set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}),
        "procMount": own.get("procMount", "Default") != "Default",
        "hostPort": any(port.get("hostPort") for port in container.get("ports", [])),
        "probe of another host": any("host" in how for probe in probes for how in probe.values() if _is_map(how)),
    }
    yield from (rule for rule, broken in rules.items() if broken)
    yield from _identity(own)


def _identity(context: Spec) -> Iterator[str]:
    if context.get("runAsUser") == 0:
        yield "runAsUser is 0"
    yield from (option for option in _OPTIONS if context.get(option))


def _is_map(value: Any) -> bool:
    return isinstance(value, Mapping)
