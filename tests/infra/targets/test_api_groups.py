"""Which APIs a cluster serves, as a real API server says it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.clients.control_plane import ControlPlane, control_plane
from infra.targets.api_groups import api_groups
from infra.targets.variables import KUBECONFIG
from tests.support.simulated import variables
from tests.support.tools import eventually

pytestmark = pytest.mark.tools
CONTEXT, KIND = "placement", "nodepools.karpenter.sh"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with control_plane(variables(), tmp_path / "plane", "RBAC") as started:
        yield started


def test_a_kind_is_served_from_its_definition_on(plane: ControlPlane) -> None:
    given = {**variables(), KUBECONFIG: str(plane.kubeconfig)}
    before = api_groups(CONTEXT, given)
    assert before and "apps/v1" in before and "karpenter.sh/v1" not in before
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"kind": "NodePool", "plural": "nodepools"}
    spec = {"group": "karpenter.sh", "scope": "Cluster", "names": names, "versions": [version]}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    plane.create(definitions, {"metadata": {"name": KIND}, "spec": spec})
    eventually(lambda: (api_groups(CONTEXT, given) or set()) - before == {"karpenter.sh/v1"}, Path("/dev/null"))


def test_nothing_is_known_of_a_cluster_that_does_not_answer_or_without_kubectl(plane: ControlPlane) -> None:
    given = {**variables(), KUBECONFIG: str(plane.kubeconfig)}
    assert api_groups("another", given) is None
    assert api_groups(CONTEXT, {**given, "PATH": ""}) is None
