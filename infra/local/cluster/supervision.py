"""Supervision by supervisord: restarts what crashes, stops everything in order."""

import http.client
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import Faults, SupervisorTransport

from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import Layout
from infra.local.cluster.parts import Part

# A busy machine takes a while; one that ends instead has said so.
_ANSWER_SECONDS = 60
_HEAD = """\
[unix_http_server]
file = {run}/supervisor.sock
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
pidfile = {run}/supervisord.pid
logfile = {logs}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
childlogdir = {logs}
directory = {root}
"""

# setpriv: a part never outlives its supervisor, so a killed supervisor leaves nothing to collide with.
_PROGRAM = """
[program:{name}]
command = {setpriv} --pdeathsig KILL -- {command}
environment = {environment}
priority = {priority}
autorestart = true
startsecs = 1
startretries = 1000000
stopwaitsecs = 15
stdout_logfile = {logs}/{name}.log
stdout_logfile_maxbytes = 20MB
stdout_logfile_backups = 1
redirect_stderr = true
"""


def write(layout: Layout, parts: list[Part], setpriv: Path) -> Path:
    """Write supervisord's configuration and return its path."""
    text = _HEAD.format(run=layout.run, logs=layout.logs, root=layout.root)
    for part in parts:
        environment = ",".join(f'{key}="{value}"' for key, value in part.environment.items())
        text += _PROGRAM.format(
            name=part.name,
            setpriv=setpriv,
            command=shlex.join(part.command),
            environment=environment,
            priority=part.priority,
            logs=layout.logs,
        )
    target = layout.config / "supervisord.conf"
    target.write_text(text)
    return target


class _Server:
    """supervisord's XML-RPC interface on its Unix socket."""

    def __init__(self, layout: Layout) -> None:
        transport = SupervisorTransport(None, None, serverurl=f"unix://{layout.supervisor_socket}")
        self.supervisor = cast(Any, xmlrpc.client.ServerProxy("http://localhost", transport=transport)).supervisor


def _alive(layout: Layout) -> bool:
    try:
        _Server(layout).supervisor.getState()
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return False
    return True


def _start(server: Any, name: str) -> None:
    """Start a part, unless supervisord itself has begun to meanwhile: it brings back what has just ended."""
    try:
        server.startProcess(name, False)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != Faults.ALREADY_STARTED:
            raise


def start(layout: Layout, configuration: Path) -> None:
    """Start supervisord, or make a running one take up a changed configuration."""
    if _alive(layout):
        server = _Server(layout).supervisor
        added, changed, removed = server.reloadConfig()[0]
        for name in [*changed, *removed]:
            server.stopProcessGroup(name)
            server.removeProcessGroup(name)
        for name in [*added, *changed]:
            server.addProcessGroup(name)
        for process in server.getAllProcessInfo():
            if process["statename"] in ("STOPPED", "EXITED", "FATAL"):
                _start(server, process["name"])
        return
    layout.supervisor_socket.unlink(missing_ok=True)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode != 0:
        raise ClusterError(
            f"supervisord did not start: {(done.stderr or done.stdout).strip()}; see {layout.logs}/supervisord.log"
        )
    deadline = time.monotonic() + _ANSWER_SECONDS
    while not _alive(layout):
        if time.monotonic() > deadline:
            raise ClusterError(f"supervisord started, but does not answer; see {layout.logs}/supervisord.log")
        time.sleep(0.2)


def states(layout: Layout) -> dict[str, dict[str, Any]]:
    """Return state, pid and seconds up by part; empty when nothing runs."""
    if not _alive(layout):
        return {}
    return {
        info["name"]: {
            "state": info["statename"],
            "pid": info["pid"],
            "up_seconds": max(0, info["now"] - info["start"]) if info["pid"] else 0,
        }
        for info in _Server(layout).supervisor.getAllProcessInfo()
    }


def stop(layout: Layout, names: Collection[str]) -> None:
    """Stop the named parts side by side, and wait for their end."""
    server = _Server(layout).supervisor
    for name, part in states(layout).items():
        if name in names and part["state"] in ("RUNNING", "STARTING", "BACKOFF"):
            server.stopProcess(name, False)
    while any(part["state"] == "STOPPING" for name, part in states(layout).items() if name in names):
        time.sleep(0.1)


def shutdown(layout: Layout) -> None:
    """End supervisord with everything under it."""
    pid_file = layout.run / "supervisord.pid"
    pid = int(pid_file.read_text()) if pid_file.exists() else 0
    if _alive(layout):
        _Server(layout).supervisor.shutdown()
    deadline = time.monotonic() + 60
    while pid and _is_supervisor(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)


def _is_supervisor(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except OSError:
        return False
    return bool(re.search(r"supervisord", command))
