"""The Pulumi engine, by its own command line, under the target's variables."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from delivery.clients import checkpoint
from delivery.clients.apart import Copy
from delivery.clients.author import message
from delivery.clients.locks import StackLocks
from delivery.clients.part import Part
from delivery.clients.plan import Plan, failures, parse, stored
from delivery.clients.process import call
from delivery.clients.workspace import temporary_folder, workspace
from delivery.clock import Clock
from delivery.errors import DeliveryError, not_runnable, system_errors
from infra.targets.variables import (
    DEADLINE,
    PULUMI_BACKEND_URL,
    PULUMI_PASSPHRASE,
    PULUMI_PASSPHRASE_FILE,
    STACKS,
    WORK,
)

_PASSPHRASE = ("incorrect passphrase", PULUMI_PASSPHRASE)
KEY = "stellwerk:credentials"
_NAME = re.compile(r"^name:\s*[\"']?([\w.-]+)", re.MULTILINE)
# How events begin of which nothing has to be known: before a resource that stays as it is, and after any.
_SAME, _AFTER = '"resourcePreEvent":{"metadata":{"op":"same"', '"resOutputsEvent":{'
# The engine takes --event-log only under this; its own Automation API does the same.
_EVENT_LOG = {"PULUMI_DEBUG_COMMANDS": "true"}


@dataclass(frozen=True)
class Update:
    """How an update ended: whether it succeeded, whether it had begun to change anything, what went wrong after it."""

    succeeded: bool
    begun: bool
    problem: str = ""


@dataclass(frozen=True)
class Engine:
    """The engine in the folder of a project; `variables` are the whole environment of its processes."""

    root: Path
    variables: Mapping[str, str]
    clock: Clock = field(default_factory=Clock)

    @property
    def backend_url(self) -> str:
        """Return where the engine keeps its state; raise DeliveryError where nothing says so."""
        url = self.variables.get(PULUMI_BACKEND_URL)
        if not url:
            raise DeliveryError(
                f"{PULUMI_BACKEND_URL} is not set, and this machine has no local cluster; run `stellwerk cluster up`, "
                f"or name the backend of your cluster's stacks, with KUBECONFIG and {PULUMI_PASSPHRASE_FILE}"
            )
        return url

    @property
    def backend_folder(self) -> Path | None:
        """The folder of a file backend; other backends know their clients themselves."""
        url = self.backend_url
        return Path(urlsplit(url).path) if url.startswith("file://") else None

    @cached_property
    def project(self) -> str:
        """The project's name in the engine."""
        file = self.root / "Pulumi.yaml"
        name = _NAME.search(file.read_text(encoding="utf-8")) if file.is_file() else None
        return name[1] if name else "stellwerk"

    def locks(self, stack: str) -> StackLocks:
        """Return the engine's locks of a stack."""
        return StackLocks(self.backend_url, self.project, stack)

    @property
    def work(self) -> Path:
        """Return the folder for files of the command's own; what a killed command leaves goes with the target's."""
        return Path(self.variables.get(WORK) or Path(tempfile.gettempdir(), f"stellwerk-{os.getuid()}"))

    def run(self, *arguments: str, stdin: str | None = None, variables: Mapping[str, str] | None = None) -> str:
        """Return the standard output of a short engine command; raise DeliveryError with the engine's last words."""
        command = ["pulumi", *arguments, "--non-interactive"]
        with temporary_folder(self.variables) as folder:
            given = {**self.variables, **_EVENT_LOG, **folder, **(variables or {})}
            try:
                done = subprocess.run(
                    command, cwd=self.root, env=given, input=stdin, capture_output=True, text=True, check=False
                )
            except OSError as error:
                raise not_runnable("pulumi", error) from None
        if done.returncode != 0:
            raise _failure(self.variables, arguments, done.returncode, (done.stderr or done.stdout).strip())
        return done.stdout

    def show(
        self, *arguments: str, stop: Callable[[], bool] | None = None, variables: Mapping[str, str] | None = None
    ) -> bool:
        """Run an engine command whose output the user sees (on standard error); return whether it succeeded."""
        terminal = ["--color=always"] if os.isatty(2) else ["--color=never", "--suppress-progress"]
        return self.call(["pulumi", *arguments, *terminal], stdout=2, stop=stop, variables=variables) == 0

    def call(
        self,
        command: Sequence[str],
        *,
        stdout: int | None = None,
        stop: Callable[[], bool] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> int:
        """Return the exit code of a command in the checkout, under the target's variables and these."""
        with temporary_folder(self.variables) as folder:
            given = {**self.variables, **_EVENT_LOG, **folder, **(variables or {})}
            return call(command, self.root, given, stdout=stdout, stop=stop)

    def preview(
        self, environment: str, text: str, *, shown: bool, part: Part | None = None, documents: Path | None = None
    ) -> Plan:
        """Return what an update with `text` as the stack file would do; the file itself stays as it is.

        The user sees the diff when it is `shown`; where it is about a `part` of the stack, nothing else is looked at.
        What environments share and releases are read in the folder `documents`, the checkout unless it is given.
        Raise DeliveryError when the preview fails.
        """
        with workspace(self.work, environment, text) as (config, events):
            variables = part.preview_variables(config.parent, self.project, environment) if part else {}
            if documents is not None:
                variables[STACKS] = str(documents)
            arguments = ["preview", "--stack", environment, "--config-file", str(config), "--event-log", str(events)]
            if shown:
                if not self.show(*arguments, "--diff", variables=variables):
                    raise DeliveryError(f"the preview of {environment} failed, see above; nothing was changed")
            else:
                with _explained(environment, events):
                    self.run(*arguments, variables=variables)
            return parse(events.read_text(encoding="utf-8"))

    def update(
        self,
        environment: str,
        text: str,
        stop: Callable[[], bool] | None = None,
        seconds: float | None = None,
        part: Part | None = None,
    ) -> Update:
        """Apply `text` as it was previewed a moment ago, whatever is written into the stack file meanwhile.

        Where it was previewed for a `part` of the stack, nothing else is touched. Whatever ends it, a copy is saved.
        While it runs `stop` is asked every second or so; the engine is interrupted when it says yes. The engine itself
        waits no longer than `seconds` for pods: an interrupt is answered only when that wait ends.
        """
        variables = {} if seconds is None else {DEADLINE: f"{self.clock.time() + seconds:.0f}"}
        with workspace(self.work, environment, text) as (config, events):
            targets, confined = part.update(config.parent) if part else ([], {})
            arguments = ["up", "--stack", environment, "--config-file", str(config), "--event-log", str(events)]
            arguments += ["--message", message(self.root, self.variables), "--yes", "--skip-preview", *targets]
            file, locks = self.state_file(environment), self.locks(environment)
            copy = part and Copy.make(self.variables, file, locks, config.parent, part.model)
            variables |= confined | (copy.variables if copy else {})
            try:
                succeeded = self.show(*arguments, stop=stop, variables=variables)
            finally:
                problem = copy.save(begun=_begun(events)) if copy else ""
            return Update(succeeded and not problem, _begun(events), problem)

    def refresh(self, environment: str, urns: Sequence[str], killed: str | None = None) -> bool:
        """Read these resources of the stack again, or all, so that what was deleted by hand is known to be absent.

        Of an update that was `killed` the stack's history has no record: this one says it.
        """
        targets = [argument for urn in urns for argument in ("--target", urn)]
        targets += ["--message", message(self.root, self.variables, killed)]
        return self.show("refresh", "--stack", environment, "--yes", "--skip-preview", *targets)

    def state_file(self, stack: str) -> Path | None:
        """Return the file of a stack's state in a file backend; None elsewhere, or where there is none."""
        if self.backend_folder is None:
            return None
        place = checkpoint.stacks(self.backend_folder, self.project)
        files = (place / f"{stack}.json", place / f"{stack}.json.gz")
        return next((file for file in files if file.exists()), None)

    def export(self, stack: str) -> dict[str, Any]:
        """Return the state of a stack as it is now; raise DeliveryError when it is not readable."""
        if (file := self.state_file(stack)) is not None:
            return checkpoint.read(file)
        exported: dict[str, Any] = json.loads(self.run("stack", "export", "--stack", stack))
        return exported

    def resources(self, environment: str) -> Plan:
        """Return what the stack's state holds."""
        return stored(self.export(environment))

    def stacks(self) -> set[str]:
        """Return the names of the stacks in the backend; an empty file backend is made."""
        url = self.backend_url
        if url.startswith("file://"):
            action = f"let {PULUMI_BACKEND_URL} name a folder that you may write"
            with system_errors("making the backend's folder", action):
                Path(urlsplit(url).path).mkdir(parents=True, exist_ok=True)
            self.locks("").remove_torn()
        return {stack["name"] for stack in json.loads(self.run("stack", "ls", "--json"))}

    def outputs(self, environment: str) -> dict[str, Any]:
        """Return the stack's outputs, secret ones not readable; raise DeliveryError while it was never applied."""
        if (file := self.state_file(environment)) is not None:
            # Without the engine, which takes a second and more to read the state of many models.
            outputs = checkpoint.outputs(checkpoint.read(file))
        elif environment not in self.stacks():
            raise DeliveryError(
                f"{environment}: there is no such stack yet; run `stellwerk init {environment}`, "
                f"then `pulumi up --stack {environment}`"
            )
        else:
            outputs = json.loads(self.run("stack", "output", "--stack", environment, "--json"))
        if not outputs:
            raise DeliveryError(f"{environment}: the stack has no outputs yet; run `pulumi up --stack {environment}`")
        return outputs

    def served(self, environment: str, model: str) -> str | None:
        """Return the release of a model with which the stack was applied to its end."""
        release: str | None = self.outputs(environment).get("models", {}).get(model)
        return release

    def credentials(self, environment: str) -> dict[str, Any]:
        """Return the decrypted credentials as `stellwerk init` wrote them; raise DeliveryError when there are none."""
        credentials: dict[str, Any] = json.loads(self.run("config", "get", KEY, "--stack", environment))
        return credentials

    def history(self, environment: str, updates: int = 100) -> list[dict[str, Any]]:
        """Return the stack's last updates, newest first: `kind`, `result`, `config` by key."""
        text = self.run("stack", "history", "--stack", environment, "--json", "--page-size", str(updates))
        return list(json.loads(text))


def _failure(variables: Mapping[str, str], arguments: Sequence[str], code: int, output: str) -> DeliveryError:
    """Return what is said of an engine command that failed: its last words, or what they mean."""
    if any(mark in output for mark in _PASSPHRASE):
        place = variables.get(PULUMI_PASSPHRASE_FILE, PULUMI_PASSPHRASE)
        return DeliveryError(
            f"the passphrase in {place} does not open the secrets of this stack; "
            f"set {PULUMI_PASSPHRASE} or {PULUMI_PASSPHRASE_FILE} to the one they were made with"
        )
    tail = "\n".join(output.splitlines()[-8:])
    return DeliveryError(f"`pulumi {' '.join(arguments[:4])}` ended with {code}:\n{tail}")


@contextmanager
def _explained(environment: str, events: Path) -> Iterator[None]:
    """Let the error of a failed preview be what its events say: its last words may be about anything."""
    try:
        yield
    except DeliveryError:
        reasons = failures(events.read_text(encoding="utf-8")) if events.is_file() else []
        if not reasons:
            raise
        text = "\n".join(reasons)
        raise DeliveryError(f"the preview of {environment} failed; nothing was changed:\n{text}") from None


def _begun(events: Path) -> bool:
    """Return whether anything was changed; an engine that met another's lock writes no event at all."""
    try:
        with events.open(encoding="utf-8") as lines:
            return bool(parse("".join(line for line in lines if not _is_quiet(line))).changes)
    except FileNotFoundError:
        return False
    except ValueError:
        # Its last line is cut off: it was killed while it was at work.
        return True


def _is_quiet(line: str) -> bool:
    """Return whether an event is of a resource that stays as it is: in a large stack nearly all are, and long."""
    return line.endswith("}\n") and (_SAME in line or _AFTER in line)
