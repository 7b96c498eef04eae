"""What the environments ask of the embedded cluster's node stands in their files, and nowhere else."""

from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML

from infra.local.toolchain.paths import CHECKOUT
from infra.needs import local_needs


def configurations() -> dict[str, dict[str, Any]]:
    """The values of each environment, as its file has them."""
    files = (CHECKOUT / "stacks").glob("Pulumi.*.yaml")
    return {file.name.split(".")[1]: YAML(typ="safe").load(file)["config"] for file in files}


def node_ports(value: Any) -> Iterator[int]:
    """Every `nodePort` of a file."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "nodePort":
                yield item
            else:
                yield from node_ports(item)


def test_the_node_s_ports_and_registry_are_those_of_the_stack_files() -> None:
    needs, files = local_needs(), configurations()
    (registry,) = {config["stellwerk:registry"]["address"] for config in files.values()}
    ports = {port for config in files.values() for port in node_ports(config)}
    assert needs.ports.keys() == ports | {int(registry.rpartition(":")[2])}
    assert needs.registry == registry
    for name, config in files.items():
        assert needs.ports[config["stellwerk:gateway"]["nodePort"]] == f"{name} gateway"


def test_a_base_image_is_made_where_an_environment_builds_on_it() -> None:
    wanted = [config.get("stellwerk:images", {}).get("basePython") or {} for config in configurations().values()]
    assert local_needs().builds_base == any(base.get("build", False) for base in wanted)
