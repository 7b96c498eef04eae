"""The check itself: a pod that keeps the rules, and one change per rule that it must notice."""

import copy
from typing import Any

import pytest

from tests.program.pod_security import violations

GOOD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "initContainers": [],
    "containers": [
        {
            "name": "main",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 2},
        }
    ],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}


def test_a_restricted_pod_breaks_no_rule() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("path", "value", "rule"),
    [
        ("hostNetwork", True, "hostNetwork"),
        ("volumes", [{"name": "node", "hostPath": {"path": "/"}}], "volume node: hostPath"),
        ("securityContext.runAsNonRoot", False, "main: runAsNonRoot is not true"),
        ("securityContext.runAsUser", 0, "runAsUser is 0"),
        ("securityContext.seccompProfile", None, "main: no seccompProfile"),
        ("securityContext.sysctls", [{"name": "kernel.msgmax"}], "sysctls"),
        ("containers.0.securityContext.privileged", True, "main: privileged"),
        ("containers.0.securityContext.allowPrivilegeEscalation", None, "main: allowPrivilegeEscalation is not false"),
        ("containers.0.securityContext.capabilities", {}, "main: capabilities are not dropped"),
        (
            "containers.0.securityContext.capabilities",
            {"drop": ["ALL"], "add": ["SYS_ADMIN"]},
            "main: capabilities are added",
        ),
        ("containers.0.securityContext.procMount", "Unmasked", "main: procMount"),
        ("containers.0.securityContext.runAsUser", 0, "main: runAsUser is 0"),
        ("containers.0.ports", [{"containerPort": 80, "hostPort": 80}], "main: hostPort"),
        ("containers.0.readinessProbe.httpGet.host", "198.51.100.1", "main: probe of another host"),
        ("containers", [], "no containers: this is not a pod"),
    ],
)
def test_a_broken_rule_is_named(path: str, value: Any, rule: str) -> None:
    pod = copy.deepcopy(GOOD)
    *parents, last = path.split(".")
    node: Any = pod
    for step in parents:
        node = node[int(step)] if isinstance(node, list) else node[step]
    node[last] = value
    assert violations(pod) == [rule]


def test_init_containers_are_looked_at() -> None:
    pod = copy.deepcopy(GOOD) | {"initContainers": [{"name": "first"}]}
    assert "first: allowPrivilegeEscalation is not false" in violations(pod)
