"""The Pulumi engine, by its own command line, under the variables of `stellwerk env`."""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from delivery.errors import DeliveryError
from infra.local.cluster.environment import environment as variables
from infra.values import ROOT

_PASSPHRASE = ("incorrect passphrase", "PULUMI_CONFIG_PASSPHRASE")
KEY = "stellwerk:credentials"


def surroundings() -> dict[str, str]:
    """The process's environment with the toolchain, the backend and the cluster in it."""
    return {**os.environ, **variables()}


def run(*arguments: str, stdin: str | None = None) -> str:
    """A short engine command; returns its standard output. Raises DeliveryError with the engine's last words."""
    given = surroundings()
    try:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=ROOT, env=given, input=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise _absent() from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        if any(mark in words for mark in _PASSPHRASE):
            place = given.get("PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_CONFIG_PASSPHRASE")
            raise DeliveryError(
                f"the passphrase in {place} does not open the secrets of this stack; "
                "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to the one they were made with"
            )
        tail = "\n".join(words.splitlines()[-8:])
        raise DeliveryError(f"`pulumi {' '.join(arguments[:4])}` ended with {done.returncode}:\n{tail}")
    return done.stdout


def show(*arguments: str) -> bool:
    """An engine command whose output the user sees (on standard error); True when it succeeded."""
    terminal = ["--color=always"] if os.isatty(2) else ["--color=never", "--suppress-progress"]
    try:
        return call(["pulumi", *arguments, *terminal], stdout=2) == 0
    except FileNotFoundError:
        raise _absent() from None


def call(command: Sequence[str], stdout: int | None = None) -> int:
    """Runs a command in the checkout; its exit code. An interrupt is left to the command: its end is waited for."""
    process = subprocess.Popen(command, cwd=ROOT, env=surroundings(), stdout=stdout)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal has interrupted it too; killed now, it would leave its lock and half an update.
        process.wait()
        raise


def _absent() -> DeliveryError:
    return DeliveryError("pulumi: not found; run `stellwerk doctor` to see how to get it")


def stacks() -> set[str]:
    """Names of the stacks in the backend; an empty file backend is made."""
    backend = surroundings()["PULUMI_BACKEND_URL"]
    if backend.startswith("file://"):
        Path(urlsplit(backend).path).mkdir(parents=True, exist_ok=True)
    return {stack["name"] for stack in json.loads(run("stack", "ls", "--json"))}


def outputs(environment: str) -> dict[str, Any]:
    """The stack's outputs; raises DeliveryError while it was never applied."""
    if environment not in stacks():
        raise DeliveryError(
            f"{environment}: there is no such stack yet; run `stellwerk init {environment}`, "
            f"then `pulumi up --stack {environment}`"
        )
    found: dict[str, Any] = json.loads(run("stack", "output", "--stack", environment, "--json"))
    if not found:
        raise DeliveryError(f"{environment}: the stack has no outputs yet; run `pulumi up --stack {environment}`")
    return found


def credentials(environment: str) -> dict[str, Any]:
    """The decrypted credentials as `stellwerk init` wrote them; raises DeliveryError when they can't be read."""
    text = run("config", "get", KEY, "--stack", environment)
    found: dict[str, Any] = json.loads(text)
    return found


def wait_for_lock(environment: str, console: Console) -> None:
    """Waits for an update that is running, and removes the lock of one that was killed.

    Only a file backend is looked at; others know their clients themselves.
    """
    backend = surroundings()["PULUMI_BACKEND_URL"]
    folder = Path(urlsplit(backend).path) / ".pulumi" / "locks" / "organization" / "stellwerk" / environment
    if not backend.startswith("file://"):
        return
    told = False
    while locks := _locks(folder):
        alive = [lock["pid"] for lock in locks if _is_running(lock)]
        if not alive:
            console.print(f"[dim]removing the lock of an interrupted update of {environment}[/dim]")
            run("cancel", "--stack", environment, "--yes")
            return
        if not told:
            console.print(f"waiting for another update of {environment} (process {alive[0]}) to end")
        told = True
        time.sleep(1)


def _locks(folder: Path) -> Sequence[dict[str, Any]]:
    found = []
    for file in folder.glob("*.json"):
        try:
            found.append(json.loads(file.read_text()))
        except (OSError, json.JSONDecodeError):
            continue
    return found


def _is_running(lock: dict[str, Any]) -> bool:
    """A lock of another host counts as running: nothing here can tell."""
    if lock.get("hostname") != os.uname().nodename:
        return True
    try:
        return Path(f"/proc/{lock['pid']}/comm").read_text().strip() == "pulumi"
    except OSError:
        return False
