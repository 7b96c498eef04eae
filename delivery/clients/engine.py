"""The Pulumi engine, by its own command line, under the variables of `stellwerk env`."""

import fcntl
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from delivery.errors import DeliveryError, not_runnable, system_errors
from delivery.operations.plan import Plan, parse, stored
from infra.local.cluster.environment import environment as variables
from infra.targets.variables import DEADLINE, PULUMI_BACKEND_URL, PULUMI_PASSPHRASE_FILE, WORK
from infra.values import ROOT

_PASSPHRASE = ("incorrect passphrase", "PULUMI_CONFIG_PASSPHRASE")
KEY = "stellwerk:credentials"
# The engine takes --event-log only under this; its own Automation API does the same.
_EVENT_LOG = {"PULUMI_DEBUG_COMMANDS": "true"}
# An interrupted engine ends its providers and saves its state; one that hangs is interrupted again.
_GRACE_SECONDS = 60


def surroundings() -> dict[str, str]:
    """The process's environment with the toolchain, the backend and the cluster in it."""
    with system_errors("making the state directory", "let STELLWERK_STATE name a folder that you may write"):
        return {**os.environ, **variables()}


def run(*arguments: str, stdin: str | None = None) -> str:
    """A short engine command; returns its standard output. Raises DeliveryError with the engine's last words."""
    given = surroundings() | _EVENT_LOG
    try:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=ROOT, env=given, input=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError as error:
        raise not_runnable("pulumi", error) from None
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


def _backend() -> str:
    """Return where the engine keeps its state; raise DeliveryError where nothing says so."""
    backend = surroundings().get(PULUMI_BACKEND_URL)
    if not backend:
        raise DeliveryError(
            f"{PULUMI_BACKEND_URL} is not set, and this machine has no local cluster; run `stellwerk cluster up`, or "
            f"name the backend of your cluster's stacks, with KUBECONFIG and {PULUMI_PASSPHRASE_FILE}"
        )
    return backend


@dataclass(frozen=True)
class Update:
    """How an update ended: whether it succeeded, and whether it had begun to change anything."""

    succeeded: bool
    begun: bool


def preview(environment: str, text: str, *, shown: bool) -> Plan:
    """What an update with `text` as the stack file would do; the file itself stays as it is.

    The user sees the diff when it is `shown`. Raises DeliveryError when the preview fails.
    """
    with _workspace(environment, text) as (config, events):
        arguments = ["preview", "--stack", environment, "--config-file", str(config), "--event-log", str(events)]
        if shown:
            if not show(*arguments, "--diff"):
                raise DeliveryError(f"the preview of {environment} failed, see above; nothing was changed")
        else:
            run(*arguments)
        return parse(events.read_text(encoding="utf-8"))


def update(environment: str, text: str, stop: Callable[[], bool] | None = None, seconds: float | None = None) -> Update:
    """Applies `text` as it was previewed a moment ago, whatever is written into the stack file meanwhile.

    While it runs `stop` is asked every second or so; the engine is interrupted when it says yes. The engine itself
    waits no longer than `seconds` for pods: an interrupt is answered only when that wait ends.
    """
    variables = {} if seconds is None else {DEADLINE: f"{time.time() + seconds:.0f}"}
    with _workspace(environment, text) as (config, events):
        arguments = ["up", "--stack", environment, "--config-file", str(config), "--event-log", str(events)]
        succeeded = show(*arguments, "--yes", "--skip-preview", stop=stop, variables=variables)
        return Update(succeeded, _begun(events))


def _begun(events: Path) -> bool:
    """Whether anything was changed; an engine that met another's lock writes no event at all."""
    try:
        return bool(parse(events.read_text(encoding="utf-8")).changes)
    except FileNotFoundError:
        return False
    except ValueError:
        # Its last line is cut off: it was killed while it was at work.
        return True


def resources(environment: str) -> Plan:
    """What the stack's state holds."""
    return stored(json.loads(run("stack", "export", "--stack", environment)))


def refresh(environment: str, urns: Sequence[str]) -> bool:
    """Reads these resources of the stack again, so that what was deleted by hand is known to be absent."""
    targets = [argument for urn in urns for argument in ("--target", urn)]
    return show("refresh", "--stack", environment, "--yes", "--skip-preview", *targets)


def _work() -> Path | None:
    """Return the target's folder for files of the command, None where it has none."""
    given = surroundings().get(WORK)
    if not given:
        return None
    Path(given).mkdir(parents=True, exist_ok=True, mode=0o700)
    return Path(given)


@contextmanager
def _workspace(environment: str, text: str) -> Iterator[tuple[Path, Path]]:
    """A folder that nobody else can read: the stack file to use, and where the engine's events go.

    The local target has it in its state directory: what a killed command leaves goes with that.
    """
    action = f"make the folder writable, or let {WORK} name another one"
    with ExitStack() as cleanup:
        with system_errors("writing the engine's configuration", action):
            folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="update-", dir=_work()))
            config = Path(folder, f"Pulumi.{environment}.yaml")
            with config.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
        yield config, Path(folder, "events.json")


def show(*arguments: str, stop: Callable[[], bool] | None = None, variables: Mapping[str, str] | None = None) -> bool:
    """An engine command whose output the user sees (on standard error); True when it succeeded."""
    terminal = ["--color=always"] if os.isatty(2) else ["--color=never", "--suppress-progress"]
    return call(["pulumi", *arguments, *terminal], stdout=2, stop=stop, variables=variables) == 0


def call(
    command: Sequence[str],
    stdout: int | None = None,
    stop: Callable[[], bool] | None = None,
    variables: Mapping[str, str] | None = None,
) -> int:
    """Runs a command in the checkout; its exit code. An interrupt is left to the command: its end is waited for."""
    given = surroundings() | _EVENT_LOG | dict(variables or {})
    try:
        process = subprocess.Popen(command, cwd=ROOT, env=given, stdout=stdout)
    except OSError as error:
        raise not_runnable(command[0], error) from None
    try:
        while stop is not None:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(1)
            if stop():
                return _interrupt(process)
        return process.wait()
    except KeyboardInterrupt:
        # The terminal has interrupted it too; killed now, it would leave its lock and half an update.
        process.wait()
        raise
    except BaseException:
        _interrupt(process)
        raise


def _interrupt(process: subprocess.Popen[bytes]) -> int:
    """Ends the engine as Ctrl-C does: it cancels, saves its state and gives its lock back."""
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return process.wait()


def changed(environment: str) -> DeliveryError:
    """What is said when an environment is not what it was when its change was shown."""
    return DeliveryError(f"{environment}: the environment changed since the preview, look again; nothing was changed")


def stacks() -> set[str]:
    """Names of the stacks in the backend; an empty file backend is made."""
    backend = _backend()
    if backend.startswith("file://"):
        with system_errors("making the backend's folder", "let PULUMI_BACKEND_URL name a folder that you may write"):
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


def history(environment: str, updates: int = 100) -> list[dict[str, Any]]:
    """The stack's last updates, newest first: `kind`, `result`, `config` by key."""
    text = run("stack", "history", "--stack", environment, "--json", "--page-size", str(updates))
    return list(json.loads(text))


def state(environment: str) -> object:
    """Equal as long as no update has written the stack's state; only a file backend can be asked cheaply."""
    backend = _backend()
    if not backend.startswith("file://"):
        return None
    folder = Path(urlsplit(backend).path) / ".pulumi" / "stacks" / "stellwerk"
    files = sorted(folder.glob(f"{environment}.json*"))
    return [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]


@contextmanager
def locked(environment: str, console: Console) -> Iterator[None]:
    """Keeps other `stellwerk` commands of this machine from changing the environment.

    It belongs to the backend, so that two checkouts with one backend share it; the system takes it back from a command
    that is killed. Against other machines, and plain `pulumi up`, the engine's own lock holds.
    """
    file = _lock_file(environment)
    with system_errors(f"locking {environment}", f"make {file.parent} writable"):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Others may hold it, too, on a machine that several people share: reading is enough for that.
        descriptor = os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        said = False
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if not said:
                console.print(f"waiting for another change of {environment} to end", highlight=False)
            said = True
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _lock_file(environment: str) -> Path:
    backend = _backend()
    if backend.startswith("file://"):
        return Path(urlsplit(backend).path) / f"stellwerk-{environment}.lock"
    folder = _work() or Path(tempfile.gettempdir(), f"stellwerk-{os.getuid()}")
    return folder / "locks" / f"{environment}-{sha256(backend.encode()).hexdigest()[:16]}.lock"


def lock_holder(environment: str) -> str | None:
    """Who holds the engine's lock of a stack right now; None when nobody does, or only the backend knows."""
    folder = _engine_locks(environment)
    locks = [lock for lock in _locks(folder) if _is_running(lock)] if folder else []
    if not locks:
        return None
    return "{username}@{hostname}, process {pid}".format_map({"username": "?", "hostname": "?", **locks[0]})


def _engine_locks(environment: str) -> Path | None:
    """Where a file backend keeps the locks of a stack; other backends know their clients themselves."""
    backend = _backend()
    if not backend.startswith("file://"):
        return None
    return Path(urlsplit(backend).path) / ".pulumi" / "locks" / "organization" / "stellwerk" / environment


def wait_for_lock(environment: str, console: Console) -> None:
    """Waits for an update that is running, and removes the lock of one that was killed."""
    folder = _engine_locks(environment)
    if folder is None:
        return
    said = False
    while locks := _locks(folder):
        alive = [lock["pid"] for lock in locks if _is_running(lock)]
        if not alive:
            console.print(f"[dim]removing the lock of an interrupted update of {environment}[/dim]")
            run("cancel", "--stack", environment, "--yes")
            return
        if not said:
            console.print(f"waiting for another update of {environment} (process {alive[0]}) to end")
        said = True
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
