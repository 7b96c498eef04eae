"""kubectl against the cluster of an environment."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from delivery.engine import surroundings
from delivery.errors import DeliveryError
from infra.values import from_file


def kubectl(environment: str, *arguments: str, stdin: str | None = None) -> str:
    """Standard output of kubectl; raises DeliveryError with its last words."""
    words = command(environment, *arguments)
    try:
        done = subprocess.run(words, env=surroundings(), input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise _absent() from None
    if done.returncode != 0:
        raise DeliveryError(f"cluster of {environment}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _absent() -> DeliveryError:
    return DeliveryError("kubectl: not found; run `stellwerk doctor` to see how to get it")


def command(environment: str, *arguments: str) -> list[str]:
    """The command line, with the environment's context."""
    return ["kubectl", "--context", from_file(environment).environment.cluster.context, *arguments]


def require(environment: str) -> None:
    """Raises DeliveryError when the cluster does not answer, before anything is begun."""
    kubectl(environment, "get", "--raw", "/readyz", "--request-timeout=10s")


def get(environment: str, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
    """An object, None when it is not there."""
    text = kubectl(environment, "--namespace", namespace, "get", kind, name, "--ignore-not-found", "-o", "json")
    return json.loads(text) if text else None


@contextmanager
def forwarded(environment: str, namespace: str, service: str, port: int) -> Iterator[int]:
    """A local port that leads to a service inside the cluster, as long as the context lasts."""
    arguments = ["--namespace", namespace, "port-forward", f"service/{service}", f":{port}"]
    words = command(environment, *arguments)
    try:
        process = subprocess.Popen(words, env=surroundings(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise _absent() from None
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
