"""The declared rights and the node's admission configuration, judged by a real API server without a node."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from infra.local.cluster import addons
from infra.local.cluster.layout import PROVISIONER
from tests.program.harness import Recording
from tests.support import rights
from tests.support.api_server import api_server

pytestmark = pytest.mark.tools
ROLES = [(role, purpose) for role, purposes in rights.ALLOWED.items() for purpose in purposes]
_KINDS = ("Namespace", "Role", "RoleBinding")


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory, programs: Mapping[str, Recording]) -> Iterator[rights.Kubectl]:
    """kubectl as the administrator of an API server that has dev's namespaces and roles."""
    with api_server(tmp_path_factory.mktemp("api")) as server:
        documents = [document for kind in _KINDS for document in programs["dev"].of_kind(kind).values()]
        server.apply(*documents, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "local-path-storage"}})
        yield server.kubectl


@pytest.mark.parametrize(("role", "purpose"), ROLES)
def test_a_role_has_the_rights_of_its_table_and_no_other(role: str, purpose: str, kubectl: rights.Kubectl) -> None:
    granted = rights.rights(kubectl, rights.GROUPS[role], f"dev-{purpose}")
    assert granted == rights.expected(role, purpose)


@pytest.mark.parametrize("namespace", rights.NOBODYS)
def test_controllers_and_the_node_s_own_namespaces_belong_to_no_role(namespace: str, kubectl: rights.Kubectl) -> None:
    for group in rights.GROUPS.values():
        assert rights.rights(kubectl, group, namespace) == set()


def pod(namespace: str, **spec: Any) -> str:
    container = {"name": "main", "image": "busybox"}
    document = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine", "namespace": namespace},
        "spec": {"containers": [container], **spec},
    }  # fmt: skip
    return json.dumps(document)


NODE = {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}


@pytest.mark.parametrize("namespace", ["default", "kube-system", "kube-public", "local-path-storage", "dev-serving"])
def test_no_namespace_takes_a_pod_with_the_node_s_own_means(namespace: str, kubectl: rights.Kubectl) -> None:
    """Not even of the administrator: what has no label is restricted, too."""
    specs: list[dict[str, Any]] = [NODE, {"hostPID": True}, {"securityContext": {"runAsUser": 0}}, {}]
    pods = "\n---\n".join(pod(namespace, **spec) for spec in specs)
    code, said = kubectl("create", "--dry-run=server", "-f", "-", stdin=pods)
    assert code != 0
    assert said.count('violates PodSecurity "restricted:latest"') == len(specs), said


def test_the_provisioner_s_helper_pods_and_the_log_shipper_s_are_the_exceptions(kubectl: rights.Kubectl) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get"]}]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "helper"}}
    kubectl("create", "-f", "-", stdin=json.dumps({**role, "rules": rules}))
    kubectl("create", "clusterrolebinding", "helper", "--clusterrole=helper", f"--user={PROVISIONER}")
    helper = yaml.safe_load(addons.helper_pod())
    helper["metadata"]["namespace"] = "local-path-storage"
    helper["spec"]["volumes"] = NODE["volumes"]
    made = ["create", "--dry-run=server", "-f", "-"]
    assert kubectl(*made, f"--as={PROVISIONER}", stdin=json.dumps(helper))[0] == 0
    assert kubectl(*made, stdin=json.dumps(helper))[0] != 0
    assert kubectl(*made, stdin=pod("dev-logging", **NODE))[0] == 0
