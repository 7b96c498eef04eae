"""kubectl against the cluster of an environment."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delivery.clients.plan import Step
from delivery.errors import DeliveryError, not_runnable
from infra.targets.variables import KUBECONFIG
from infra.values import file_name

_NO_CONTEXT = re.compile(r'context "?[^"]*"? does not exist|context was not found')
# How kubectl says that it got no answer.
_UNREACHABLE = (
    "Unable to connect to the server", "connection refused", "i/o timeout", "no route to host", "no such host",
    "The connection to the server", "Client.Timeout", "TLS handshake timeout", "request canceled", "EOF",
)  # fmt: skip


@dataclass(frozen=True)
class Kubectl:
    """The cluster of an environment, by its context; `variables` are the whole environment of its processes.

    `scope` is what names of the environment's namespaces begin with; its own name unless given.
    """

    environment: str
    context: str
    variables: Mapping[str, str]
    scope: str | None = None

    def namespace(self, purpose: str) -> str:
        """Return the name of the environment's namespace for a purpose."""
        return f"{self.scope or self.environment}-{purpose}"

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Return the standard output; raise DeliveryError with the last words, or what is wrong with the access."""
        command = self.command(*arguments)
        try:
            done = subprocess.run(command, env=self.variables, input=stdin, capture_output=True, text=True, check=False)
        except OSError as error:
            raise not_runnable("kubectl", error) from None
        if done.returncode != 0:
            raise DeliveryError(self._failure(done.stderr.strip() or done.stdout.strip()))
        return done.stdout

    def command(self, *arguments: str) -> list[str]:
        """Return the command line, with the context; raise DeliveryError when there is no kubeconfig."""
        files = self._kubeconfigs()
        if files and not any(Path(name).is_file() for name in files):
            raise DeliveryError(
                f"cluster of {self.environment}: KUBECONFIG names no file: {', '.join(files)}; run `stellwerk cluster "
                "up` for the local cluster, or set KUBECONFIG to the file of yours"
            )
        return ["kubectl", "--context", self.context, *arguments]

    def _kubeconfigs(self) -> list[str]:
        return [name for name in self.variables.get(KUBECONFIG, "").split(os.pathsep) if name]

    def _failure(self, output: str) -> str:
        """Return what kubectl said, and what to do when it could not even ask."""
        if _NO_CONTEXT.search(output):
            return f"cluster of {self.environment}: {self._no_context()}"
        last = output.splitlines()[-1] if output else "no reason given"
        if any(mark in output for mark in _UNREACHABLE):
            return (
                f"cluster of {self.environment} does not answer: {last}; `stellwerk cluster status` shows the local one"
            )
        return f"cluster of {self.environment}: {output}"

    def _no_context(self) -> str:
        known = subprocess.run(
            ["kubectl", "config", "get-contexts", "--output=name"],
            env=self.variables, capture_output=True, text=True, check=False,
        ).stdout.split()  # fmt: skip
        return (
            f"{', '.join(self._kubeconfigs())} has no context {self.context!r}; contexts there: "
            f"{', '.join(known) or 'none'}; correct stellwerk:cluster.context in {file_name(self.environment)}, "
            "or KUBECONFIG"
        )

    def require(self) -> None:
        """Raise DeliveryError when the cluster does not answer, before anything is begun."""
        self.run("get", "--raw", "/readyz", "--request-timeout=10s")

    def get(self, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object, None when there is no such one."""
        text = self.run("--namespace", namespace, "get", kind, name, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text else None

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the objects that a `get` finds; a cluster that hangs is not waited for."""
        text = self.run(*arguments, "--ignore-not-found", "-o", "json", "--request-timeout=10s")
        answer: dict[str, Any] = json.loads(text) if text.strip() else {"items": []}
        items: list[dict[str, Any]] = answer.get("items", [answer])
        return items

    def missing(self, steps: Sequence[Step]) -> list[Step]:
        """Return which of these resources, that the engine knows to exist, the cluster does not have."""
        known = {_reference(step): step for step in steps if step.type.startswith("kubernetes:") and step.exists}
        namespaces: dict[str, list[str]] = {}
        for namespace, reference in known:
            namespaces.setdefault(namespace, []).append(reference)
        existing = set()
        for namespace, references in namespaces.items():
            for item in self.objects("--namespace", namespace, "get", *references):
                group, _, _ = item["apiVersion"].rpartition("/")
                existing.add((namespace, group, item["kind"].lower(), item["metadata"]["name"]))
        return [step for (namespace, text), step in known.items() if (namespace, *_parts(text)) not in existing]

    @contextmanager
    def forwarded(self, namespace: str, service: str, port: int) -> Iterator[int]:
        """Yield a local port that leads to a service inside the cluster, as long as the context lasts."""
        command = self.command("--namespace", namespace, "port-forward", f"service/{service}", f":{port}")
        try:
            process = subprocess.Popen(
                command, env=self.variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise not_runnable("kubectl", error) from None
        try:
            line = process.stdout.readline() if process.stdout else ""
            local = re.search(r"127\.0\.0\.1:(\d+)", line)
            if not local:
                reason = process.stderr.read().strip() if process.stderr else ""
                raise DeliveryError(
                    f"cluster of {self.environment}: {service} cannot be reached: {reason}; "
                    f"see `kubectl -n {namespace} get pods`"
                )
            yield int(local.group(1))
        finally:
            process.terminate()
            process.wait()


def _reference(step: Step) -> tuple[str, str]:
    """Return the namespace, and what kubectl calls the object: `kind.version.group/name`."""
    _, api, kind = step.type.split(":")
    group, _, version = api.rpartition("/")
    namespace, _, name = step.id.rpartition("/")
    kind = kind.removesuffix("Patch").lower()
    return namespace, f"{kind}/{name}" if group == "core" else f"{kind}.{version}.{group}/{name}"


def _parts(reference: str) -> tuple[str, str, str]:
    """Return group, kind and name of a reference."""
    resource, _, name = reference.partition("/")
    kind, _, rest = resource.partition(".")
    return rest.partition(".")[2], kind, name
