"""A control plane without nodes of its own, for as long as a question takes: nothing that it places is ever started."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx

from delivery.clock import Clock
from delivery.errors import DeliveryError, not_runnable, system_errors

Object = dict[str, Any]

# A busy machine takes its time; a part that ends instead is seen at once.
PATIENCE_SECONDS = 180
_STOP_SECONDS = 60
_AGAIN_SECONDS = 0.2
_LOG_LINES = 5
# They live for a question: to collect garbage as often as what runs for months costs a quarter of their time.
_GARBAGE = "400"
# What needs a controller or a kubelet that is not there, or judges what no scheduler looks at.
_NO_ADMISSION = "ServiceAccount,PodSecurity,TaintNodesByCondition"
_NAME, _SCHEDULER = "placement", "kube-scheduler"


class RefusedError(DeliveryError):
    """The API server does not accept an object: a quota, a limit or a rule; the text is its own."""


@dataclass(frozen=True)
class ControlPlane:
    """An API server on loopback, behind which the real scheduler places pods; `kubeconfig` gives all rights to it."""

    client: httpx.Client
    kubeconfig: Path

    def create(self, path: str, body: Mapping[str, Any], *, dry: bool = False) -> Object:
        """Return an object as the API server has made it (`dry`: would make it); raise RefusedError with its reason."""
        answer, again = self._ask("POST", path, body, {"dryRun": "All"} if dry else None)
        if again and not dry and _said(answer).get("reason") == "AlreadyExists":
            # It was made, and only that was not said in time.
            return self.read(f"{path}/{body['metadata']['name']}")
        return _accepted(answer)

    def replace(self, path: str, body: Mapping[str, Any]) -> Object:
        """Return an object as it is with this content; raise RefusedError with the reason against it."""
        return _accepted(self._ask("PUT", path, body)[0])

    def read(self, path: str) -> Object:
        """Return what is at a path."""
        return _accepted(self._ask("GET", path)[0])

    def delete(self, path: str) -> None:
        """Delete an object; one that is gone already is no error."""
        answer, _ = self._ask("DELETE", path)
        if answer.status_code != httpx.codes.NOT_FOUND:
            _accepted(answer)

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> tuple[httpx.Response, bool]:
        """Return the answer, and whether it was asked for again: what the server could not do in time is no refusal."""
        clock, again = Clock(), False
        deadline = clock.monotonic() + PATIENCE_SECONDS
        while True:
            is_late = clock.monotonic() > deadline
            try:
                answer = self.client.request(method, path, json=body, params=query)
                if is_late or not answer.is_server_error:
                    return answer, again
            except httpx.HTTPError as error:
                # One that gives up a request may close the connection instead of saying so.
                if is_late or not isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
                    raise DeliveryError(f"the API server that places pods does not answer: {error}") from None
            again = True
            clock.sleep(_AGAIN_SECONDS)


def _accepted(answer: httpx.Response) -> Object:
    if answer.is_success:
        said: Object = answer.json()
        return said
    why = str(_said(answer).get("message", answer.text))
    raise (
        DeliveryError(f"the API server that places pods fails: {why}") if answer.is_server_error else RefusedError(why)
    )


def _said(answer: httpx.Response) -> Object:
    """Return the Status of an answer; one that is none says nothing."""
    try:
        status = answer.json()
    except ValueError:
        return {}
    return status if isinstance(status, dict) else {}


@contextmanager
def control_plane(
    variables: Mapping[str, str], work: Path, authorization: str = "AlwaysAllow"
) -> Iterator[ControlPlane]:
    """Start one with the tools on PATH, its state in a folder below `work`; nothing of it is left behind.

    `authorization` says how others than the holder of the kubeconfig are judged: by RBAC, say.
    Raise DeliveryError where a tool is not there, or does not start.
    """
    with ExitStack() as cleanup:
        with system_errors("starting a control plane", f"make {work} writable"):
            work.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="placing-", dir=work)))
        reserved = cleanup.enter_context(_reserved())
        port, token = reserved.getsockname()[1], token_urlsafe(24)
        _credentials(folder, port, token)
        tools = {name: _tool(name, variables) for name in ("etcd", "kube-apiserver", _SCHEDULER)}
        certificate = folder / "pki" / "apiserver.crt"
        started: list[_Part] = []
        for name, arguments in _commands(folder, port, authorization).items():
            if name == _SCHEDULER:
                # It ends at once where it finds no certificate; before it listens the API server may be writing it.
                _wait(lambda: _listens(port), started)
            started.append(cleanup.enter_context(_running(tools[name], arguments, folder, variables)))
        trust = ssl.create_default_context(cafile=str(certificate))
        client = cleanup.enter_context(
            httpx.Client(
                base_url=f"https://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {token}"},
                verify=trust,
                trust_env=False,
                timeout=PATIENCE_SECONDS,
            )
        )
        _wait(lambda: _ready(client), started)
        yield ControlPlane(client, folder / "kubeconfig")


def _tool(name: str, variables: Mapping[str, str]) -> str:
    file = shutil.which(name, path=variables.get("PATH", ""))
    if file is None:
        raise not_runnable(name, FileNotFoundError())
    return file


@contextmanager
def _reserved() -> Iterator[socket.socket]:
    """Hold a port of loopback that nobody else gets: the API server may listen there beside it, by its option."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield held


def _credentials(folder: Path, port: int, token: str) -> None:
    """Write who may ask, and how the scheduler does; the API server makes its certificate itself."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    access = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": _NAME,
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "certificate-authority": str(folder / "pki" / "apiserver.crt"),
                },
            }
        ],
        "users": [{"name": _NAME, "user": {"token": token}}],
        "contexts": [{"name": _NAME, "context": {"cluster": _NAME, "user": _NAME}}],
        "current-context": _NAME,
    }
    (folder / "key").write_bytes(key)
    (folder / "tokens").write_text(f"{token},{_NAME},{_NAME},system:masters\n")
    (folder / "kubeconfig").write_text(json.dumps(access))


def _commands(folder: Path, port: int, authorization: str) -> dict[str, list[str]]:
    """Return the arguments by tool; etcd listens on files of the folder, which is its owner's alone."""
    store, peer = "unix://store", "unix://peer"
    return {
        "etcd": [
            f"--name={_NAME}", f"--data-dir={folder}/data", "--unsafe-no-fsync", "--log-level=error",
            f"--listen-client-urls={store}", f"--advertise-client-urls={store}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster={_NAME}={peer}",
        ],
        "kube-apiserver": [
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}",
            "--permit-port-sharing", f"--cert-dir={folder}/pki", f"--etcd-servers={store}",
            f"--authorization-mode={authorization}", "--anonymous-auth=false", f"--token-auth-file={folder}/tokens",
            f"--disable-admission-plugins={_NO_ADMISSION}", "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://placement.invalid", f"--service-account-key-file={folder}/key",
            f"--service-account-signing-key-file={folder}/key", "--endpoint-reconciler-type=none",
            # One client at a time: its start would wait for rules of fairness.
            "--enable-priority-and-fairness=false", "--profiling=false",
        ],
        _SCHEDULER: [
            f"--kubeconfig={folder}/kubeconfig", "--leader-elect=false", "--secure-port=0", "--profiling=false",
        ],
    }  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """A process of the control plane, and where its output goes."""

    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def _running(tool: str, arguments: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Iterator[_Part]:
    """Run a process as long as the context lasts; it ends with this one, however that ends."""
    setpriv = _tool("setpriv", {"PATH": f"{variables.get('PATH', '')}{os.pathsep}/usr/bin"})
    log = folder / f"{Path(tool).name}.log"
    with log.open("w") as output:
        try:
            process = subprocess.Popen(
                [setpriv, "--pdeathsig", "KILL", "--", tool, *arguments],
                # Ctrl-C is for this process, which ends them.
                cwd=folder, env={"HOME": str(folder), "GOGC": _GARBAGE},
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise not_runnable(tool, error) from None
    try:
        yield _Part(process, log)
    finally:
        # They keep nothing, and asked to end they would wait for one another.
        process.kill()
        process.wait(_STOP_SECONDS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.HTTPError:
        return False


def _wait(done: Callable[[], bool], started: Sequence[_Part]) -> None:
    """Wait until it is done; raise DeliveryError with the last words of a process that ended, or took too long."""
    clock = Clock()
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while not done():
        ended = [part for part in started if part.process.poll() is not None]
        if ended or clock.monotonic() > deadline:
            part = (ended or started)[-1]
            lines = part.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            raise DeliveryError("\n".join([f"{part.log.stem} did not start:", *lines]))
        clock.sleep(0.02)
