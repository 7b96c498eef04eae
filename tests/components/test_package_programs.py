"""Programs of others, each in its language, with the real engine: on a control plane of their own, or as manifests."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from delivery.clients.control_plane import ControlPlane
from infra.contract.versions import versions
from tests.support.package import (
    PACKAGE,
    PackageEngine,
    go_sdk,
    installed_python_sdk,
    journey,
    package_engine,
    typescript_program,
)
from tests.support.simulated import simulated_cluster
from tests.support.tools import tool

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]
TYPESCRIPT = PACKAGE / "example" / "typescript"
PYTHON_PROGRAM = """
import pulumi
import pulumi_stellwerk as stellwerk

cluster = pulumi.ProviderResource(
    "kubernetes", "cluster", {"renderYamlToDirectory": pulumi.Config().require("manifests")}
)
tenant = stellwerk.Tenant(
    "own",
    environment="own",
    namespaces=["serving"],
    quota=stellwerk.QuotaArgsArgs(cpu="16", memory="64Gi", pods=40, storage="100Gi"),
    node_ports={"serving": 2},
    opts=pulumi.ResourceOptions(providers=[cluster]),
)
pulumi.export("namespaces", tenant.namespaces)
"""


@pytest.fixture
def engine(tmp_path: Path) -> PackageEngine:
    return package_engine(tmp_path)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ControlPlane]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    with simulated_cluster(folder) as plane:
        yield plane


@pytest.fixture
def on_cluster(tmp_path: Path, cluster: ControlPlane) -> PackageEngine:
    return package_engine(tmp_path, KUBECONFIG=str(cluster.kubeconfig))


def test_a_python_program_with_an_sdk_renders_manifests(engine: PackageEngine) -> None:
    engine = replace(engine, variables={**engine.variables, "PYTHONPATH": str(installed_python_sdk(engine))})
    (engine.program / "Pulumi.yaml").write_text("name: own\nruntime: python\n")
    (engine.program / "__main__.py").write_text(PYTHON_PROGRAM)
    engine.start(manifests=str(engine.place / "manifests"))
    engine.up()
    assert engine.outputs() == {"namespaces": {"serving": "own-serving"}}
    files = (engine.place / "manifests").rglob("*.yaml")
    (quota,) = (each for each in map(yaml.safe_load, map(Path.read_text, files)) if each["kind"] == "ResourceQuota")
    hard = quota["spec"]["hard"]
    assert (hard["pods"], hard["services.nodeports"]) == ("40", "2")


def test_the_example_in_yaml_is_applied_changed_and_taken_away(
    on_cluster: PackageEngine, cluster: ControlPlane
) -> None:
    tool("pulumi-language-yaml")
    shutil.copy(PACKAGE / "example" / "Pulumi.yaml", on_cluster.program)
    on_cluster.start(context=json.loads(cluster.kubeconfig.read_text())["current-context"])
    journey(on_cluster, cluster.read)


# Most of it is npm's: a package manager's time is no matter of ours.
@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_example_in_typescript_is_applied_changed_and_taken_away(
    on_cluster: PackageEngine, cluster: ControlPlane
) -> None:
    tool("pulumi-language-nodejs")
    typescript_program(on_cluster)
    on_cluster.start(kubernetes__context=json.loads(cluster.kubeconfig.read_text())["current-context"])
    journey(on_cluster, cluster.read)


def test_the_example_in_typescript_has_the_engines_version() -> None:
    asked = json.loads((TYPESCRIPT / "package.json").read_text())["dependencies"]
    assert asked["@pulumi/pulumi"] == versions()["pulumi"]


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_sdk_in_go_compiles(engine: PackageEngine) -> None:
    sdk = go_sdk(engine)
    building = replace(engine, variables=os.environ | {"GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"})
    building.command("go", "vet", "./...", folder=sdk)
