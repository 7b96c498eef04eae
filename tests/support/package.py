"""The components as other programs get them: a fetched plugin, a project of the real engine, one journey for all."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from components.reference import SCHEMA
from infra.local.toolchain.paths import MODULES, cache
from tests.support.tools import tool

PACKAGE = SCHEMA.parent
PLUGIN = "pulumi-resource-stellwerk"
SECRET = "hush"
"""The password that the examples are given."""
# What is made beside the files of a checkout.
_MADE = shutil.ignore_patterns("__pycache__", ".venv", "node_modules", "sdks")
# What an example declares that has a name of its own in the cluster.
_NAMESPACES = {"research-serving", "research-training"}


@dataclass(frozen=True)
class PackageEngine:
    """The engine, which finds the plugin on PATH, in a folder with nothing but the components and a program."""

    place: Path
    variables: Mapping[str, str]

    @property
    def program(self) -> Path:
        """Return the folder of the program."""
        return self.place / "program"

    def run(self, *arguments: str) -> str:
        """Return what `pulumi` prints; fail with all that it said."""
        command = ["pulumi", *arguments]
        if arguments[0] != "package":
            command += ["--non-interactive"]
        return self.command(*command)

    def command(self, *command: str | Path, folder: Path | None = None) -> str:
        """Return what a command prints in the program's folder; fail with all that it said."""
        done = subprocess.run(
            [str(word) for word in command], cwd=folder or self.program, env=dict(self.variables),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}:\n{done.stdout[-6000:]}"
        return done.stdout

    def start(self, **configuration: str) -> None:
        """Make the stack, with these values and the secret one."""
        self.run("stack", "init", "one")
        for name, value in configuration.items():
            self.run("config", "set", name.replace("__", ":"), value)
        self.run("config", "set", "--secret", "registryPassword", SECRET)

    def up(self) -> None:
        """Apply the program."""
        self.run("up", "--yes", "--skip-preview")

    def outputs(self) -> Any:
        """Return the stack's outputs, secrets hidden."""
        return json.loads(self.run("stack", "output", "--json"))

    def schema(self) -> dict[str, Any]:
        """Return the schema that the plugin serves."""
        served: dict[str, Any] = json.loads(self.run("package", "get-schema", str(self.place / "fetched" / PLUGIN)))
        return served


def package_engine(place: Path, python: Path = Path(sys.prefix), **variables: str) -> PackageEngine:
    """Return an engine with a plugin as one has it that fetched the folder: by itself, under a name of its own."""
    plugin = place / "fetched"
    shutil.copytree(PACKAGE, plugin, ignore=_MADE)
    (plugin / ".venv").symlink_to(python)
    for folder in ("program", "backend", "manifests"):
        (place / folder).mkdir()
    folders = (tool("pulumi").parent, plugin, python / "bin", os.environ["PATH"])
    return PackageEngine(
        place,
        {
            "PATH": os.pathsep.join(map(str, folders)),
            "HOME": str(place),
            "PULUMI_BACKEND_URL": f"file://{place}/backend",
            "PULUMI_CONFIG_PASSPHRASE": "word",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_HOME": str(place / "home"),
            **variables,
        },
    )


def journey(engine: PackageEngine, read: Callable[[str], Any]) -> None:
    """Apply an example, change a value of it, and take it away; `read` asks the API server for what is at a path."""
    engine.up()
    outputs = engine.outputs()
    assert outputs["namespaces"] == {"serving": "research-serving", "training": "research-training"}
    quota = read("/api/v1/namespaces/research-training/resourcequotas/quota")
    assert quota["spec"]["hard"]["pods"] == "40", "a whole number arrives as one"
    login = read(f"/api/v1/namespaces/research-training/secrets/{outputs['pullSecret']}")
    assert login["type"] == "kubernetes.io/dockerconfigjson"
    state = engine.run("stack", "export")
    assert outputs["pullSecret"] in state
    for text in (*login["data"].values(), SECRET):
        assert json.dumps(text)[1:-1] not in state, "what is secret in the program is in the state, too"
    assert _nodes(read) == set(outputs["nodes"]) == {"gpus-0", "gpus-1"}
    engine.run("preview", "--expect-no-changes")

    engine.run("config", "set", "nodes", "3")
    engine.up()
    assert _nodes(read) == set(engine.outputs()["nodes"]) == {"gpus-0", "gpus-1", "gpus-2"}
    engine.run("up", "--yes", "--skip-preview", "--expect-no-changes")

    engine.run("destroy", "--yes", "--skip-preview")
    assert json.loads(engine.run("stack", "export"))["deployment"].get("resources", []) == []
    assert _nodes(read) == set()
    assert _names(read("/api/v1/namespaces")) & _NAMESPACES == set()


def _nodes(read: Callable[[str], Any]) -> set[str]:
    return {name for name in _names(read("/api/v1/nodes")) if name.startswith("gpus-")}


def _names(listed: Any) -> set[str]:
    return {each["metadata"]["name"] for each in listed["items"]}


def write_sdks(engine: PackageEngine) -> Path:
    """Return a folder with the SDKs of the package as the plugin describes it, by language."""
    described, folder = engine.place / "schema.json", engine.place / "sdks"
    described.write_text(json.dumps(engine.schema()))
    engine.command(tool("sdk-writer"), described, folder)
    return folder


def typescript_program(engine: PackageEngine) -> None:
    """Make the example in TypeScript the engine's program, with its packages and the SDK that it asks for.

    Skip the test where there is no Node.
    """
    if shutil.which("npm") is None:
        pytest.skip("Node is not installed")
    sdks = write_sdks(engine)
    shutil.copytree(PACKAGE / "example" / "typescript", engine.program, dirs_exist_ok=True, ignore=_MADE)
    shutil.copytree(sdks / "nodejs", engine.program / "sdks" / "stellwerk")
    # With the machine's own settings of npm; what was downloaded once is kept.
    settings = os.environ | {"npm_config_cache": str(cache() / "npm")}
    npm = replace(engine, variables=settings)
    npm.command("npm", "ci", "--no-audit", "--no-fund")
    npm.command("npx", "tsc", "--noEmit")


def installed_python_sdk(engine: PackageEngine) -> Path:
    """Return a folder with the package `pulumi_stellwerk` as one installs it."""
    sdk, target = write_sdks(engine) / "python", engine.place / "site"
    install = (Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--no-deps")
    replace(engine, variables=os.environ).command(*install, "--python", sys.executable, "--target", target, sdk)
    return target


def go_sdk(engine: PackageEngine) -> Path:
    """Return the folder of the SDK in Go, a module with the requirements of the tool that has written it.

    Skip the test where there is no Go.
    """
    if shutil.which("go") is None:
        pytest.skip("Go is not installed")
    sdk = write_sdks(engine) / "go"
    lock = (MODULES / "sdk-writer" / "go.mod").read_text()
    # The path by which the packages of the SDK import one another.
    module = re.sub(r"^module .*", "module example.com/pulumi-stellwerk/sdk/go", lock)
    (sdk / "go.mod").write_text(module)
    shutil.copy(MODULES / "sdk-writer" / "go.sum", sdk)
    return sdk
