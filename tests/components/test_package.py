"""The components as a package: complete, described as written down, and usable by programs of others."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.package import COMPONENTS, whole
from components.reference import SCHEMA, schema, texts
from tests.support.tools import tool

PACKAGE = SCHEMA.parent
PLUGIN = "pulumi-resource-stellwerk"
# What an SDK does that the engine generates for Python.
PYTHON_PROGRAM = """
import pulumi


class Tenant(pulumi.ComponentResource):
    def __init__(self, name, opts, **inputs):
        super().__init__("stellwerk:index:Tenant", name, inputs, opts, True)


cluster = pulumi.ProviderResource(
    "kubernetes", "cluster", {"renderYamlToDirectory": pulumi.Config().require("manifests")}
)
quota = {"cpu": "16", "memory": "64Gi", "pods": 40, "storage": "100Gi"}
options = pulumi.ResourceOptions(providers=[cluster])
tenant = Tenant("own", options, environment="own", namespaces=["serving"], quota=quota, nodePorts={"serving": 2})
pulumi.export("namespaces", tenant.namespaces)
"""


def test_the_package_has_every_component() -> None:
    sources = [file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")]
    declared = {name for text in sources for name in re.findall(r'super\(\).__init__\("stellwerk:index:(\w+)"', text)}
    assert declared == {component.__name__ for component in COMPONENTS}


def test_schema_and_reference_are_up_to_date() -> None:
    stale = [file.name for file, text in texts().items() if not file.exists() or file.read_text("utf-8") != text]
    assert not stale, "run: python -m components.reference"


def test_everything_that_a_program_sees_is_described() -> None:
    assert list(_undescribed(schema())) == []


def _undescribed(document: Mapping[str, Any]) -> Iterator[str]:
    for token, each in [*document["resources"].items(), *document["types"].items()]:
        if not each.get("description"):
            yield token
        for place in ("inputProperties", "properties"):
            for name, value in each.get(place, {}).items():
                if not value.get("description"):
                    yield f"{token}.{name}"


def test_whole_numbers_are_integers() -> None:
    assert repr(whole({"pods": 40.0, "ports": [{"serving": 2.0}], "share": 0.5, "on": True, "text": "1.0"})) == repr(
        {"pods": 40, "ports": [{"serving": 2}], "share": 0.5, "on": True, "text": "1.0"}
    )
    other = object()
    assert whole([other]) == [other], "what is no plain value is left alone: an output, an asset"


@dataclass(frozen=True)
class Engine:
    """The real one, which finds the plugin on PATH, in a folder with nothing but the components and a program."""

    place: Path
    variables: Mapping[str, str]

    def run(self, *arguments: str) -> str:
        program = self.place / "program"
        command = ["pulumi", *arguments]
        if arguments[0] != "package":
            command += ["--non-interactive"]
        done = subprocess.run(
            command, cwd=program, env=dict(self.variables), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self) -> None:
        self.run("stack", "init", "one")
        self.run("config", "set", "manifests", str(self.place / "manifests"))
        self.run("config", "set", "--secret", "registryPassword", "hush")
        self.run("up", "--yes", "--skip-preview")

    def outputs(self) -> Any:
        return json.loads(self.run("stack", "output", "--json"))

    def objects(self) -> dict[tuple[str, str, str], Any]:
        """The rendered objects by kind, namespace and name."""
        read = [yaml.safe_load(file.read_text()) for file in (self.place / "manifests").rglob("*.yaml")]
        return {(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in read}


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    # As an engine that has fetched the folder keeps it: by itself, under a name of its own.
    plugin = tmp_path / "fetched"
    shutil.copytree(PACKAGE, plugin, ignore=shutil.ignore_patterns("__pycache__", ".venv"))
    (plugin / ".venv").symlink_to(sys.prefix)
    for folder in ("program", "backend", "manifests"):
        (tmp_path / folder).mkdir()
    folders = (tool("pulumi").parent, plugin, f"{sys.prefix}/bin", os.environ["PATH"])
    return Engine(
        tmp_path,
        {
            "PATH": os.pathsep.join(map(str, folders)),
            "HOME": str(tmp_path),
            "PULUMI_BACKEND_URL": f"file://{tmp_path}/backend",
            "PULUMI_CONFIG_PASSPHRASE": "word",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_HOME": str(tmp_path / "home"),
        },
    )


@pytest.mark.tools
def test_the_plugin_serves_the_written_schema(engine: Engine) -> None:
    served = json.loads(engine.run("package", "get-schema", str(engine.place / "fetched" / PLUGIN)))
    written = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert {key: served[key] for key in written} == written


@pytest.mark.tools
def test_a_python_program_uses_a_component(engine: Engine) -> None:
    program = engine.place / "program"
    (program / "Pulumi.yaml").write_text("name: own\nruntime: python\n")
    (program / "__main__.py").write_text(PYTHON_PROGRAM)
    engine.up()
    assert engine.outputs() == {"namespaces": {"serving": "own-serving"}}
    hard = engine.objects()["ResourceQuota", "own-serving", "quota"]["spec"]["hard"]
    assert (hard["pods"], hard["services.nodeports"]) == ("40", "2")


@pytest.mark.tools
def test_the_example_in_yaml_runs_is_at_rest_and_goes(engine: Engine) -> None:
    tool("pulumi-language-yaml")
    shutil.copy(PACKAGE / "example" / "Pulumi.yaml", engine.place / "program")
    engine.up()
    outputs = engine.outputs()
    assert outputs["namespaces"] == {"serving": "research-serving", "training": "research-training"}
    objects = engine.objects()
    assert objects["ResourceQuota", "research-training", "quota"]["spec"]["hard"]["pods"] == "40"
    assert {name for kind, _, name in objects if kind == "Node"} == set(outputs["nodes"]) == {"gpus-0", "gpus-1"}
    login = objects["Secret", "research-training", outputs["pullSecret"]]
    assert login["type"] == "kubernetes.io/dockerconfigjson"
    state = engine.run("stack", "export")
    assert outputs["pullSecret"] in state
    for text in [*login.get("data", {}).values(), *login.get("stringData", {}).values(), "hush"]:
        assert json.dumps(text)[1:-1] not in state, "what is secret in the program is in the state, too"
    engine.run("preview", "--expect-no-changes")
    engine.run("destroy", "--yes", "--skip-preview")
    assert json.loads(engine.run("stack", "export"))["deployment"].get("resources", []) == []
