"""What the environments ask of the embedded cluster's node stands in their files, and nowhere else."""

from collections.abc import Iterator
from typing import Any

from infra.needs import local_needs
from tests.support.documents import ENVIRONMENTS, TEAM, whole_values


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
