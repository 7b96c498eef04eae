"""What the environments ask of the embedded cluster's node stands in their files, and nowhere else."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.contract.problems import ConfigError
from infra.contract.stacks import file_name
from infra.needs import local_needs
from infra.targets.needs import Needs
from tests.support.documents import ENVIRONMENTS, TEAM, whole_values, yaml


def configurations() -> dict[str, dict[str, Any]]:
    """The values of each environment."""
    return {name: whole_values(name) for name in ENVIRONMENTS}


def node_ports(value: Any) -> Iterator[int]:
    """Every `nodePort` of a file."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "nodePort":
                yield item
            else:
                yield from node_ports(item)


def test_the_node_s_ports_and_registry_are_those_of_the_stack_files() -> None:
    needs, files = local_needs(TEAM), configurations()
    (registry,) = {config["registry"]["address"] for config in files.values()}
    ports = {port for config in files.values() for port in node_ports(config)}
    assert needs.ports.keys() == ports | {int(registry.rpartition(":")[2])}
    assert needs.registry == registry
    for name, config in files.items():
        assert needs.ports[config["gateway"]["nodePort"]] == f"{name} gateway"


def test_a_base_image_is_made_where_an_environment_builds_on_it() -> None:
    wanted = [config.get("images", {}).get("basePython") or {} for config in configurations().values()]
    assert local_needs(TEAM).builds_base == any(base.get("build", False) for base in wanted)


def elastic(name: str, price: float, bought: str = "on-demand") -> dict[str, Any]:
    machine = {"name": "gpu-one", "cpu": "16", "memory": "64Gi", "pricePerHour": price}
    made = {"provider": "kwok", "instanceTypes": [machine], "capacityTypes": [bought]}
    return {"name": name, "kind": "elastic", "accelerator": "nvidia-h100-80gb", "gpus": 1, "nodes": 2, "elastic": made}


def needs_with(root: Path, pools: dict[str, list[dict[str, Any]]]) -> Needs:
    """The needs of a checkout whose environments have these pools as well."""
    shutil.copytree(TEAM, root)
    for name, more in pools.items():
        file = root / file_name(name)
        document = yaml().load(file)
        document["config"].setdefault("stellwerk:nodePools", []).extend(more)
        with file.open("w") as stream:
            yaml().dump(document, stream)
    return local_needs(root)


def test_the_autoscaler_knows_the_instance_types_of_elastic_pools_alone(tmp_path: Path) -> None:
    assert local_needs(TEAM).instance_types == ()
    twice = {"dev": [elastic("small", 2.5), elastic("large", 2.5, "spot")]}
    (only,) = needs_with(tmp_path / "checkout", twice).instance_types
    assert (only.name, only.prices) == ("gpu-one", {"on-demand": 2.5, "spot": 2.5})
    assert only.resources["nvidia.com/gpu"] == "1"


def test_instance_types_of_one_name_are_the_same(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dev has an instance type gpu-one that is another one.*names of their own"):
        needs_with(tmp_path / "checkout", {"dev": [elastic("small", 2.5), elastic("large", 3.0)]})
