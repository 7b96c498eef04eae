"""Kinds that values stand on and somebody else brings: the cluster is asked once, and what it lacks is named."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.program.conftest import Refused, Run
from tests.program.harness import stack_values
from tests.program.test_gateway import ATTACHED
from tests.program.test_logging import ECK, USER
from tests.program.test_scaling import KEDA

TAGS = {"tags": {"discovery": "main"}}
NODE_CLASS = {"role": "nodes", "amiAlias": "al2023@v20251101", "subnets": TAGS, "securityGroups": TAGS}
LOCALLY, ELSEWHERE = "run `stellwerk cluster up`", "install the "


def elastic(provider: str, **more: Any) -> dict[str, Any]:
    machine = {"name": "l4", "cpu": "8", "memory": "32Gi", "pricePerHour": 1.5}
    return {
        "name": "burst", "kind": "elastic", "nodes": 4,
        "elastic": {"provider": provider, "instanceTypes": [machine], **more},
    }  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Values that stand on APIs: what changes in those of a stack, and the key that says so."""

    stack: str
    changed: Mapping[str, Any]
    key: str
    apis: frozenset[str]
    action: str = ELSEWHERE

    def values(self) -> dict[str, Any]:
        values = stack_values(self.stack)
        for key, value in self.changed.items():
            values[key] = {**values[key], **value} if isinstance(values.get(key), dict) else value
        return values


# ECK's users are others than those of an embedded store.
USERS = {"users": {**dict.fromkeys(("shipper", "reader", "keeper"), USER), "readers": {"auditor": USER}}}
CASES = {
    "kwok": Case(
        "dev", {"nodePools": [elastic("kwok")]}, "nodePools.0",
        frozenset({"karpenter.sh/v1", "karpenter.kwok.sh/v1alpha1"}), LOCALLY,
    ),
    "EC2": Case(
        "dev", {"nodePools": [elastic("ec2", nodeClass=NODE_CLASS)]}, "nodePools.0",
        frozenset({"karpenter.sh/v1", "karpenter.k8s.aws/v1"}),
    ),
    "GPU operator": Case(
        "dev", {"gpuOperator": {"mode": "existing"}}, "gpuOperator.mode", frozenset({"nvidia.com/v1"})
    ),
    "trainer": Case(
        "dev", {"cluster": {"trainer": True}}, "cluster.trainer", frozenset({"trainer.kubeflow.org/v1alpha1"})
    ),
    "ECK": Case(
        "prod",
        {"logging": ECK, "quota": {"cpu": "8", "memory": "32Gi"}, "credentials": {"logStore": USERS}},
        "logging.mode", frozenset({"elasticsearch.k8s.elastic.co/v1"}),
    ),
    "KEDA": Case("prod", {"autoscaler": {"keda": KEDA}}, "autoscaler.keda", frozenset({"keda.sh/v1alpha1"})),
    "gateway": Case("prod", {"gateway": ATTACHED}, "gateway.mode", frozenset({"gateway.networking.k8s.io/v1"})),
}  # fmt: skip
of_each = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@dataclass(frozen=True)
class Cluster:
    """A kubectl on PATH that answers with APIs, or not at all, and keeps what it is asked."""

    folder: Path

    def serving(self, apis: frozenset[str]) -> str:
        answer = {"groups": [{"versions": [{"groupVersion": each} for each in sorted(apis)]}]}
        return self._path(f"echo '{json.dumps(answer)}'")

    def silent(self) -> str:
        return self._path("exit 1")

    def _path(self, answer: str) -> str:
        kubectl = self.folder / "kubectl"
        kubectl.write_text(f'#!/bin/sh\necho "$*" >>{self.folder}/asked\n{answer}\n')
        kubectl.chmod(0o755)
        return f"{self.folder}:/usr/bin:/bin"

    def asked(self) -> int:
        """How often it was asked."""
        file = self.folder / "asked"
        return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    (tmp_path / "tools").mkdir()
    return Cluster(tmp_path / "tools")


@of_each
def test_what_the_cluster_lacks_is_named_by_value_and_kind_and_what_to_do(
    refused: Refused, cluster: Cluster, case: Case
) -> None:
    for lacking in case.apis:
        served = frozenset({"apps/v1", *case.apis}) - {lacking}
        where, _, allowed, action = refused(case.stack, case.values(), PATH=cluster.serving(served)).splitlines()
        group, _, version = lacking.partition("/")
        assert where.startswith(f"stacks/Pulumi.{case.stack}.yaml") and where.endswith(f": stellwerk:{case.key}")
        assert f".{group} {version}" in allowed
        assert not [each for each in served if f".{each.partition('/')[0]} " in allowed], "what it has is not absent"
        assert action.startswith(f"  do:      {case.action}")


@of_each
def test_a_cluster_that_has_all_is_asked_once(run: Run, cluster: Cluster, case: Case) -> None:
    assert run(case.values(), case.stack, PATH=cluster.serving(case.apis)).inputs
    assert cluster.asked() == 1


def test_nobody_is_asked_for_what_no_value_stands_on(run: Run, cluster: Cluster) -> None:
    assert run(stack_values("dev"), "dev", PATH=cluster.silent()).inputs
    assert cluster.asked() == 0


def test_a_cluster_that_does_not_answer_is_the_engine_s_to_tell_of(run: Run, cluster: Cluster) -> None:
    assert run(CASES["kwok"].values(), "dev", PATH=cluster.silent()).inputs
    assert cluster.asked() == 1


@pytest.mark.parametrize(("variable", "text"), [("STELLWERK_MOVE", "digits"), ("STELLWERK_ASSUMED", "{}")])
def test_neither_a_move_of_one_model_nor_a_preview_without_a_cluster_asks(
    run: Run, cluster: Cluster, tmp_path: Path, variable: str, text: str
) -> None:
    (tmp_path / "file").write_text(text)
    given = {variable: str(tmp_path / "file"), "PATH": cluster.serving(frozenset())}
    assert run(CASES["KEDA"].values(), "prod", **given).inputs
    assert cluster.asked() == 0
