"""A version or a port is changed in one place."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.project import Project
from tests.house.tree import ROOT, hold, modules, written
from tests.support.documents import ENVIRONMENTS, TEAM, whole_text

_MANIFEST, _VERSIONS = "infra/local/toolchain/manifest.toml", "infra/versions.toml"
# Documentation may show a version; tests of infra/contract hold the pins of packages against infra/versions.toml.
_ELSEWHERE = ("docs/", "pyproject.toml")
_PORTS = "components/kit/ports.py"
_NODE_PORT = re.compile(r"(?<![\d.])3[0-2]\d{3}(?![\d.])")


def test_the_version_of_a_tool_stands_in_one_file() -> None:
    offenders: dict[str, str] = {}
    for tool, version, home in _versions():
        # A version alone may be another thing's, too: the line has to name the tool.
        line = re.compile(rf"^.*(?<![\d.]){re.escape(version)}(?!\d|\.\d).*$", re.MULTILINE)
        for name, text in written().items():
            if name == home or name.startswith(_ELSEWHERE) or name.endswith(".in") or version not in text:
                continue
            if any(_plain(tool) in _plain(match[0]) for match in line.finditer(text)):
                offenders[f"{tool} in {name}"] = f"version {version} stands in {home} already"
    hold("versions", offenders)


def _versions() -> Iterator[tuple[str, str, str]]:
    """Return tool, version and the file it stands in; short versions are too common to be looked for."""
    tools = tomllib.loads(written()[_MANIFEST])["tool"]
    listed = {tool["name"]: tool["version"] for tool in tools if "version" in tool}
    named = tomllib.loads(written().get(_VERSIONS, "[versions]"))["versions"]
    for home, versions in ((_VERSIONS, named), (_MANIFEST, listed)):
        yield from ((tool, version, home) for tool, version in versions.items() if version.count(".") >= 2)


def _plain(text: str) -> str:
    """Return only the letters: `kserveManager` and `kserve-manager` are one name."""
    return re.sub(r"[^a-z]", "", text.lower())


def test_a_node_port_stands_in_the_stack_files_alone() -> None:
    ports = {port for name in ENVIRONMENTS for port in _NODE_PORT.findall(whole_text(name))}
    assert ports, "no stack file names a node port"
    offenders = {
        f"{port} in {name}": "this node port stands in a stack file already"
        for name, text in written().items()
        if not name.startswith("docs/") and name != "README.md" and not _fixture(name)
        for port in ports.intersection(_NODE_PORT.findall(text))
    }
    hold("node ports", offenders)


def _fixture(name: str) -> bool:
    """Return whether a file is a document with a mistake in it; it has to name the port that it collides with."""
    return name.startswith("tests/") and name.endswith(".yaml")


@pytest.mark.parametrize("root", [ROOT, TEAM], ids=["this checkout", "the tests"])
def test_no_two_services_of_a_cluster_have_one_node_port(root: Path) -> None:
    """A checkout may have no environment."""
    project = Project(root)
    stacks = [project.stack(name) for name in project.environments]
    ports = Counter((stack.environment.cluster.context, port.port) for stack in stacks for port in stack.node_ports())
    assert not [port for port, count in ports.items() if count > 1]


def test_the_port_of_a_component_stands_in_one_module() -> None:
    ports = set(_numbers(modules()[_PORTS]))
    assert ports
    offenders = {
        f"{port} in {name}": f"import the constant of {_PORTS}"
        for name, nodes in modules().items()
        if name.startswith(("benchmarks/", "components/", "delivery/", "infra/")) and name != _PORTS
        for port in ports.intersection(_numbers(nodes))
    }
    hold("ports", offenders)


def _numbers(nodes: list[ast.AST]) -> Iterator[int]:
    """Return the numbers of a module, and those after a colon in its texts, as in addresses."""
    for node in nodes:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            yield node.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from map(int, re.findall(r":(\d{4,5})\b", node.value))
