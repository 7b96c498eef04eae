"""One stack on a real cluster, with a backend of its own: it is changed by the engine, and compared as a whole."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml
from rich.console import Console

from components.cluster.ownership import PROJECT_LABEL, STACK_LABEL
from delivery.clients.backend import Backend
from delivery.clients.engine import Engine
from delivery.clients.kubectl import Kubectl
from delivery.clients.snapshots import Snapshots
from delivery.operations.settle import settle
from infra.targets.variables import (
    PULUMI_BACKEND_URL,
    PULUMI_PASSPHRASE,
    PULUMI_PASSPHRASE_FILE,
    PULUMI_SKIP_CHECKPOINTS,
    WORK,
)

ROOT = Path(__file__).parents[2]
PROJECT = "faults"
KINDS = (
    "namespaces,resourcequotas,limitranges,networkpolicies,roles,rolebindings,configmaps,services,secrets,deployments,"
    "clusterroles"
)
# What the API server and controllers add, in `metadata` and in `spec`.
_ADDED = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences")
_GIVEN = ("clusterIP", "clusterIPs", "finalizers")
_REVISION = "deployment.kubernetes.io/revision"

Operation = tuple[str, int, int]
"""What a run brings about: `up` or `destroy`, with which `values` and which `kind`."""


@dataclass(frozen=True)
class Seen:
    """What there is after a run: the cluster's objects without what differs each time, and the state's resources."""

    objects: Mapping[str, Any]
    resources: frozenset[str]

    def differences(self, other: "Seen") -> list[str]:
        """Return what this one has, lacks or has otherwise than `other`, in words."""
        words = []
        for name in sorted({*self.objects, *other.objects}):
            mine, theirs = self.objects.get(name), other.objects.get(name)
            if mine != theirs:
                words.append(f"{name}: {'absent' if mine is None else 'too much' if theirs is None else 'different'}")
        words += [f"state has no {urn}" for urn in sorted(other.resources - self.resources)]
        return words + [f"state has {urn}" for urn in sorted(self.resources - other.resources)]


@dataclass(frozen=True)
class World:
    """A stack called `name` with namespaces `<name>-…`; `variables` lead to a cluster, `folder` is its own."""

    name: str
    folder: Path
    variables: Mapping[str, str]
    context: str = "stellwerk"
    lines: list[str] = field(default_factory=list)

    def make(self) -> "World":
        """Write the project and make its stack; return this."""
        # Nothing can be made in a namespace of this name that an earlier run has left to be deleted.
        self.forget(wait=True)
        (self.folder / "backend").mkdir(parents=True)
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
        program = str(Path(__file__).parent / "program")
        text = yaml.safe_dump({"name": PROJECT, "main": program, "runtime": runtime})
        (self.folder / "Pulumi.yaml").write_text(text)
        self.engine.run("stack", "init", self.name)
        return self

    @property
    def engine(self) -> Engine:
        """The product's own engine, as each command of it makes one anew."""
        own = {
            PULUMI_BACKEND_URL: f"file://{self.folder}/backend",
            PULUMI_PASSPHRASE: "faults",
            WORK: str(self.folder / "work"),
            "FAULTS_CONTEXT": self.context,
            "PYTHONPATH": str(ROOT),
            # The state is written once, at the end: updates are several times faster, killed ones have written nothing.
            PULUMI_SKIP_CHECKPOINTS: "true",
        }
        given = {name: value for name, value in self.variables.items() if name != PULUMI_PASSPHRASE_FILE}
        return Engine(self.folder, {**given, **own})

    @property
    def state_folder(self) -> Path:
        """Where the engine writes the stack's state."""
        return self.folder / "backend" / ".pulumi" / "stacks" / PROJECT

    def begin(self, operation: Operation, *, slower: bool = False) -> subprocess.Popen[bytes]:
        """Start the engine as a user would; its output goes to the file `output`.

        A `slower` one has less of the machine than whoever watches it.
        """
        with (self.folder / "output").open("wb") as output:
            prefix = ["nice", "-n", "5"] if slower else []
            command = [*prefix, "pulumi", *self._arguments(operation), "--non-interactive", "--color=never"]
            return subprocess.Popen(
                command, cwd=self.folder, env=dict(self.engine.variables), stdout=output, stderr=output
            )

    def run(self, operation: Operation) -> int:
        """Run the operation as the product does; return the engine's exit code, with its output in `output`.

        The lock of a killed run is broken, and what that did is read from the cluster, as before every command.
        """
        engine = self.engine
        backend = Backend(engine)
        with (self.folder / "console").open("a") as file:
            console = Console(file=file, width=200)
            with backend.locked(self.name, console):
                backend.wait(self.name, console)
                settle(engine, self.kubectl, self.name, console)
                with (self.folder / "output").open("wb") as output:
                    command = ["pulumi", *self._arguments(operation), "--non-interactive", "--color=never"]
                    return engine.call(command, stdout=output.fileno())

    @property
    def kubectl(self) -> Kubectl:
        """The product's own client of the cluster."""
        return Kubectl(self.name, self.context, self.variables)

    def _arguments(self, operation: Operation) -> list[str]:
        kind, values, shape = operation
        config = self.folder / f"Pulumi.{self.name}.yaml"
        document = yaml.safe_load(config.read_text())
        document["config"] = {
            f"{PROJECT}:world": self.name, f"{PROJECT}:values": str(values), f"{PROJECT}:kind": str(shape)
        }  # fmt: skip
        # In one step: several may run at once.
        written = config.with_name(f"{config.name}.{uuid4()}")
        written.write_text(yaml.safe_dump(document))
        written.replace(config)
        return [kind, "--stack", self.name, "--yes", "--skip-preview"]

    def output(self) -> str:
        """Return what the last run of the engine has printed."""
        return (self.folder / "output").read_text(errors="replace")

    def printed(self) -> int:
        """Return how many bytes the run of the engine has printed up to now."""
        return (self.folder / "output").stat().st_size

    def has_no_changes(self) -> bool:
        """Return whether a preview finds nothing to do."""
        command = ["pulumi", "preview", "--stack", self.name, "--expect-no-changes", "--non-interactive", "--diff"]
        with (self.folder / "output").open("wb") as output:
            return self.engine.call(command, stdout=output.fileno()) == 0

    def seen(self) -> Seen:
        """Return all that carries the stack's labels in the cluster, and what its state holds."""
        selector = f"{PROJECT_LABEL}={PROJECT},{STACK_LABEL}={self.name}"
        command = ["kubectl", "--context", self.context, "get", KINDS, "-A", "-l", selector, "-o", "json"]
        text = subprocess.run(command, env=dict(self.variables), capture_output=True, text=True, check=True).stdout
        objects = {}
        for item in json.loads(text.replace(self.name, "WORLD"))["items"]:
            metadata = item["metadata"]
            objects[f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"] = _without_added(item)
        state = Snapshots(self.engine, self.name).current()["deployment"]
        urns = [f"{item['urn']} {item.get('id', '')}" for item in state.get("resources") or [] if _is_object(item)]
        assert not state.get("pending_operations"), state["pending_operations"]
        assert len(urns) == len(set(urns)), f"twice in the state: {sorted(urns)}"
        return Seen(objects, frozenset(urn.replace(self.name, "WORLD") for urn in urns))

    def forget(self, *, wait: bool = False) -> None:
        """Delete what is left in the cluster; `wait` for its end, or leave that to the cluster."""
        selector = f"{PROJECT_LABEL}={PROJECT},{STACK_LABEL}={self.name}"
        command = ["kubectl", "--context", self.context, "delete", "namespaces,clusterroles", "-l", selector]
        command.append(f"--wait={str(wait).lower()}")
        subprocess.run(command, env=dict(self.variables), capture_output=True, check=False)


def _is_object(resource: Mapping[str, Any]) -> bool:
    return str(resource["type"]).startswith("kubernetes:")


def _without_added(item: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in item["metadata"].items() if key not in _ADDED}
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key != _REVISION}
    spec = {key: value for key, value in (item.get("spec") or {}).items() if key not in _GIVEN}
    rest = {key: value for key, value in item.items() if key not in ("metadata", "spec", "status")}
    return {**rest, "metadata": {**metadata, "annotations": annotations}, "spec": spec}
