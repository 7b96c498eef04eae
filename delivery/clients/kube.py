"""kubectl against the cluster of an environment."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from delivery.clients.engine import surroundings
from delivery.errors import DeliveryError, not_runnable
from delivery.operations.plan import Step
from infra.values import file_name, from_file

_NO_CONTEXT = re.compile(r'context "?[^"]*"? does not exist|context was not found')
# How kubectl says that it got no answer.
_UNREACHABLE = (
    "Unable to connect to the server", "connection refused", "i/o timeout", "no route to host", "no such host",
    "The connection to the server", "Client.Timeout", "TLS handshake timeout", "request canceled", "EOF",
)  # fmt: skip


def kubectl(environment: str, *arguments: str, stdin: str | None = None) -> str:
    """Standard output of kubectl; raises DeliveryError with its last words, or with what is wrong with the access."""
    words = command(environment, *arguments)
    try:
        done = subprocess.run(words, env=surroundings(), input=stdin, capture_output=True, text=True, check=False)
    except OSError as error:
        raise not_runnable("kubectl", error) from None
    if done.returncode != 0:
        raise DeliveryError(_failure(environment, done.stderr.strip() or done.stdout.strip()))
    return done.stdout


def _failure(environment: str, said: str) -> str:
    """What kubectl said, and what to do when it could not even ask."""
    if _NO_CONTEXT.search(said):
        return f"cluster of {environment}: {_no_context(environment)}"
    last = said.splitlines()[-1] if said else "no reason given"
    if any(mark in said for mark in _UNREACHABLE):
        return f"cluster of {environment} does not answer: {last}; `stellwerk cluster status` shows the local one"
    return f"cluster of {environment}: {said}"


def _no_context(environment: str) -> str:
    context, files = from_file(environment).environment.cluster.context, _kubeconfigs()
    known = subprocess.run(
        ["kubectl", "config", "get-contexts", "--output=name"],
        env=surroundings(), capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    return (
        f"{', '.join(files)} has no context {context!r}; contexts there: {', '.join(known) or 'none'}; correct "
        f"stellwerk:cluster.context in {file_name(environment)}, or KUBECONFIG"
    )


def _kubeconfigs() -> list[str]:
    return [name for name in surroundings().get("KUBECONFIG", "").split(os.pathsep) if name]


def command(environment: str, *arguments: str) -> list[str]:
    """The command line, with the environment's context; raises DeliveryError when there is no kubeconfig."""
    files = _kubeconfigs()
    if files and not any(Path(name).is_file() for name in files):
        raise DeliveryError(
            f"cluster of {environment}: KUBECONFIG names no file: {', '.join(files)}; run `stellwerk cluster up` for "
            "the local cluster, or set KUBECONFIG to the file of yours"
        )
    return ["kubectl", "--context", from_file(environment).environment.cluster.context, *arguments]


def require(environment: str) -> None:
    """Raises DeliveryError when the cluster does not answer, before anything is begun."""
    kubectl(environment, "get", "--raw", "/readyz", "--request-timeout=10s")


def get(environment: str, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
    """An object, None when it is not there."""
    text = kubectl(environment, "--namespace", namespace, "get", kind, name, "--ignore-not-found", "-o", "json")
    return json.loads(text) if text else None


def objects(environment: str, *arguments: str) -> list[dict[str, Any]]:
    """The objects that a `get` finds; a cluster that hangs is not waited for."""
    text = kubectl(environment, *arguments, "--ignore-not-found", "-o", "json", "--request-timeout=10s")
    found: dict[str, Any] = json.loads(text) if text.strip() else {"items": []}
    items: list[dict[str, Any]] = found.get("items", [found])
    return items


def missing(environment: str, steps: Sequence[Step]) -> list[Step]:
    """Which of these resources, that the engine knows to exist, the cluster does not have."""
    known = {_reference(step): step for step in steps if step.type.startswith("kubernetes:") and step.exists}
    namespaces: dict[str, list[str]] = {}
    for namespace, reference in known:
        namespaces.setdefault(namespace, []).append(reference)
    there = set()
    for namespace, references in namespaces.items():
        for item in objects(environment, "--namespace", namespace, "get", *references):
            group, _, _ = item["apiVersion"].rpartition("/")
            there.add((namespace, group, item["kind"].lower(), item["metadata"]["name"]))
    return [step for (namespace, text), step in known.items() if (namespace, *_parts(text)) not in there]


def _reference(step: Step) -> tuple[str, str]:
    """Namespace, and what kubectl calls the object: `kind.version.group/name`."""
    _, api, kind = step.type.split(":")
    group, _, version = api.rpartition("/")
    namespace, _, name = step.id.rpartition("/")
    kind = kind.removesuffix("Patch").lower()
    return namespace, f"{kind}/{name}" if group == "core" else f"{kind}.{version}.{group}/{name}"


def _parts(reference: str) -> tuple[str, str, str]:
    """Group, kind and name of a reference."""
    resource, _, name = reference.partition("/")
    kind, _, rest = resource.partition(".")
    return rest.partition(".")[2], kind, name


@contextmanager
def forwarded(environment: str, namespace: str, service: str, port: int) -> Iterator[int]:
    """A local port that leads to a service inside the cluster, as long as the context lasts."""
    arguments = ["--namespace", namespace, "port-forward", f"service/{service}", f":{port}"]
    words = command(environment, *arguments)
    try:
        process = subprocess.Popen(words, env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise not_runnable("kubectl", error) from None
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not found:
            reason = process.stderr.read().strip() if process.stderr else ""
            raise DeliveryError(f"cluster of {environment}: {service} can't be reached: {reason}")
        yield int(found.group(1))
    finally:
        process.terminate()
        process.wait()
