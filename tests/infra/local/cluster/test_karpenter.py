"""What the autoscaler leaves, where no environment has an elastic pool any more."""

from collections.abc import Iterator
from typing import Any

import pytest

from delivery.clients.control_plane import ControlPlane, control_plane
from infra.local.cluster import karpenter
from infra.local.cluster.commands import Tools
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import Layout
from infra.local.toolchain.paths import bin_folder
from tests.support.definitions import define
from tests.support.simulated import variables

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]

CLAIMS, NODES = "/apis/karpenter.sh/v1/nodeclaims", "/api/v1/nodes"
TYPE = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["gpu-one"]}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server; nobody is there who would take a finalizer away."""
    with control_plane(variables(), tmp_path_factory.mktemp("plane")) as started:
        yield started


@pytest.fixture
def node(plane: ControlPlane, place: Layout) -> Layout:
    """The state directory of a node that has this API server, and had the autoscaler."""
    place.kubeconfig.write_text(plane.kubeconfig.read_text())
    (place.identities / "karpenter.conf").touch()
    return place


def names(plane: ControlPlane, path: str) -> list[str]:
    return [each["metadata"]["name"] for each in plane.read(path)["items"]]


def made(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """An object as the autoscaler makes it, which has its finalizer."""
    metadata = {"name": name, "labels": {karpenter.OF_POOL: "gpu"}, "finalizers": ["karpenter.sh/termination"]}
    version = "v1" if kind == "Node" else "karpenter.sh/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def test_its_nodes_go_with_it_and_no_others(plane: ControlPlane, node: Layout) -> None:
    tools = Tools(bin_folder(), node.root)
    # The pool's definitions may be absent: the first start was killed before they were made.
    karpenter.leave(tools, node)
    (node.identities / "karpenter.conf").touch()
    for folder in ("karpenter/crds", "karpenter/kwok"):
        define(plane, folder)
    reference = {"group": "karpenter.kwok.sh", "kind": "KWOKNodeClass", "name": "gpu"}
    spec = {"nodeClassRef": reference, "requirements": [TYPE]}
    plane.create(CLAIMS, made("NodeClaim", "gpu-a", spec=spec))
    for name in ("gpu-a", "gpu-b"):
        plane.create(NODES, made("Node", name))
    plane.create(NODES, {"kind": "Node", "metadata": {"name": "theirs", "finalizers": ["theirs.example/kept"]}})
    # Without it they stay, whoever deletes them.
    plane.delete(f"{NODES}/gpu-b")
    assert "gpu-b" in names(plane, NODES)
    karpenter.leave(tools, node)
    assert (names(plane, CLAIMS), names(plane, NODES)) == ([], ["theirs"])
    assert not (node.identities / "karpenter.conf").exists()


def test_where_it_never_ran_nobody_is_asked(place: Layout, tools: Tools) -> None:
    (tools.bin / "kubectl").write_text("#!/bin/sh\nexit 1\n")
    karpenter.leave(tools, place)


def test_what_cannot_be_asked_is_left_for_the_next_start(place: Layout, tools: Tools) -> None:
    (tools.bin / "kubectl").write_text("#!/bin/sh\necho no answer >&2\nexit 1\n")
    (place.identities / "karpenter.conf").touch()
    with pytest.raises(ClusterError, match="no answer"):
        karpenter.leave(tools, place)
    assert (place.identities / "karpenter.conf").exists()
