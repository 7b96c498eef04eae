"""Whether a plan fits on the pools of the values: nodes that Karpenter may still make, and instances of GPUs."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.kit.names import GPU, POOL_LABEL
from delivery.clients.control_plane import control_plane
from delivery.clients.plan import Plan, parse
from delivery.errors import DeliveryError
from delivery.operations.fit import Fit, fit
from infra.services.node_pools import largest_fleet, simulated_machines
from tests.delivery.test_fit import event, node
from tests.support.placements import Asked
from tests.support.pools import Pools, elastic
from tests.support.simulated import variables

Object = dict[str, Any]
INSTANCE = "nvidia.com/mig-1g.10gb"
BIG = {"name": "big", "cpu": "64", "memory": "256Gi", "gpus": 8, "pricePerHour": 20, "spotPricePerHour": 8}
UNANSWERED = "it does not answer; the node pools of the values are all that is known"
SMALL = {"name": "small", "cpu": "8", "memory": "32Gi", "gpus": 1, "pricePerHour": 3}


class Cluster:
    """A cluster with these objects; None: it does not answer."""

    def __init__(self, items: list[Object] | None) -> None:
        self.items = items

    def objects(self, *_: str) -> list[Object]:
        if self.items is None:
            raise DeliveryError("it does not answer")
        return self.items


def fitted(pools: Pools, items: list[Object] | None, plan: Plan, folder: Path) -> Fit:
    asked = Asked(Cluster(items), partial(control_plane, variables(), folder))  # type: ignore[arg-type]
    said = fit(asked, pools, "x", plan)  # type: ignore[arg-type]
    assert said is not None
    # Whatever keeps the scheduler from being asked stands here.
    assert said.unseen == (() if items is not None else (UNANSWERED,))
    return said


def wants(name: str, replicas: int, pool: str, devices: Mapping[str, str]) -> str:
    resources = {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": dict(devices)}
    spec = {
        "containers": [{"name": "c", "image": "a:1", "resources": resources}],
        "nodeSelector": {POOL_LABEL: pool},
        "tolerations": [{"key": GPU, "operator": "Exists"}],
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    body = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return event("create", "apps/v1:Deployment", name, {"spec": body})


def planned(*events: str) -> Plan:
    return parse("\n".join(events))


def test_a_fleet_ends_where_the_first_limit_is() -> None:
    (pool,) = Pools(elastic("gpu", 10, SMALL, BIG, limits={"gpus": 18})).section(None)
    assert [each.name for each in largest_fleet(pool)] == ["big", "big", "small", "small"]
    (few,) = Pools(elastic("gpu", 3, SMALL, BIG)).section(None)
    assert [each.name for each in largest_fleet(few)] == ["big"] * 3
    (cores,) = Pools(elastic("gpu", 9, BIG, limits={"cpu": "100"})).section(None)
    assert [each.name for each in largest_fleet(cores)] == ["big"]


def test_machines_have_what_nodes_have_and_the_prices_of_what_may_be_bought() -> None:
    pools = Pools(elastic("gpu", 3, SMALL, BIG, capacityTypes=["spot", "on-demand"]), elastic("more", 1, SMALL))
    big, small, _ = sorted(simulated_machines(pools), key=lambda each: each.name)  # type: ignore[arg-type]
    assert big.resources == {"cpu": "64", "memory": "256Gi", "pods": "110", GPU: "8"}
    assert big.prices == {"spot": 8, "on-demand": 20}
    assert small.prices == {"spot": 3, "on-demand": 3}


@pytest.mark.tools
@pytest.mark.parametrize("answers", [True, False], ids=["cluster", "values"])
def test_an_elastic_pool_counts_the_nodes_that_it_may_have(answers: bool, tmp_path: Path) -> None:
    pools = Pools(elastic("gpu", 4, SMALL, BIG, limits={"gpus": 9}))
    plan = planned(wants("nine", 9, "gpu", {GPU: "1"}), wants("ten", 1, "gpu", {GPU: "1"}))
    said = fitted(pools, [] if answers else None, plan, tmp_path)
    assert {each.name: (each.placed, each.pods) for each in said.placements} == {"nine": (9, 9), "ten": (0, 1)}
    (why,) = next(each.why for each in said.placements if each.name == "ten")
    assert why.startswith(f"{GPU}: pool gpu has 9, 9 are taken")


@pytest.mark.tools
def test_nodes_of_an_elastic_pool_that_are_there_are_not_counted_twice(tmp_path: Path) -> None:
    present = node("gpu-x", "gpu", cpu="64", **{GPU: "8"})
    said = fitted(Pools(elastic("gpu", 1, BIG)), [present], planned(wants("nine", 9, "gpu", {GPU: "1"})), tmp_path)
    assert [(each.placed, each.pods) for each in said.placements] == [(8, 9)]


@pytest.mark.tools
def test_nodes_become_those_of_an_existing_pool(tmp_path: Path) -> None:
    pools = Pools({"name": "ours", "kind": "existing", "select": {"names": ["node-1"]}})
    plan = planned(wants("fits", 2, "ours", {}), wants("none", 1, "theirs", {}))
    said = fitted(pools, [node("node-1"), node("node-2")], plan, tmp_path)
    assert {each.name: each.placed for each in said.placements} == {"fits": 2, "none": 0}


@pytest.mark.tools
def test_instances_of_gpus_are_counted_by_their_profile(tmp_path: Path) -> None:
    layout = {"mig": {"1g.10gb": 4, "3g.40gb": 1}}
    pool = {"name": "gpu", "kind": "external", "accelerator": "nvidia-h100", "gpus": 2, "nodes": 1, "sharing": layout}
    plan = planned(wants("small", 9, "gpu", {INSTANCE: "1"}), wants("whole", 1, "gpu", {GPU: "1"}))
    said = fitted(Pools(pool), None, plan, tmp_path)
    assert {each.name: (each.placed, each.pods) for each in said.placements} == {"small": (8, 9), "whole": (0, 1)}
    text = json.dumps([each.why for each in said.placements])
    assert f"{INSTANCE}: pool gpu has 8" in text and f"{GPU}: pool gpu has 0" in text


def claims(name: str, replicas: int, template: str) -> str:
    """A Deployment whose pods claim devices by a template."""
    body = json.loads(wants(name, replicas, "gpu", {}))
    pods = body["resourcePreEvent"]["metadata"]["new"]["inputs"]["spec"]["template"]
    pods["metadata"]["annotations"] = {POOL_LABEL: "gpu"}
    pods["spec"]["nodeSelector"] = {"group": "gpus"}
    pods["spec"]["resourceClaims"] = [{"name": "devices", "resourceClaimTemplateName": template}]
    return json.dumps(body)


def template(name: str, count: int) -> Object:
    exactly = {"deviceClassName": "gpu.example.com", "count": count}
    spec = {"spec": {"devices": {"requests": [{"name": "devices", "exactly": exactly}]}}}
    return {"kind": "ResourceClaimTemplate", "metadata": {"name": name, "namespace": "prod-serving"}, "spec": spec}


@pytest.mark.tools
@pytest.mark.parametrize("answers", [True, False], ids=["cluster", "values"])
def test_devices_that_pods_claim_are_counted_by_their_class(answers: bool, tmp_path: Path) -> None:
    pool = {"name": "gpu", "accelerator": "h", "gpus": 4, "nodes": 1, "deviceClass": "gpu.example.com"}
    existing = {**pool, "kind": "existing", "select": {"labels": {"group": "gpus"}}}
    own = node("node-1", None, cpu="64")
    own["metadata"]["labels"] = {**own["metadata"].get("labels", {}), "group": "gpus"}
    planned_template = template("two", 2)
    made = event("create", "resource.k8s.io/v1:ResourceClaimTemplate", "two", {"spec": planned_template["spec"]})
    plan = planned(made, claims("fits", 2, "two"), claims("more", 1, "two"))
    said = fitted(Pools(existing), [own] if answers else None, plan, tmp_path)
    assert {each.name: (each.placed, each.pods) for each in said.placements} == {"fits": (2, 2), "more": (0, 1)}
    (why,) = next(each.why for each in said.placements if each.name == "more")
    assert why.startswith("gpu.example.com: pool gpu has 4, 4 are taken")
