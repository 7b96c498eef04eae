"""A CI runner's machine: a clone of a throw-away repository, with a cluster's API server that has nothing in it."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.delivery.flows.steps import Step
from tests.support.project import copy_checkout

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")
PASSPHRASE = "canary-passphrase-of-the-runner"
_BATCH = {"groupVersion": "batch/v1", "version": "v1"}


def _resource(name: str, kind: str, *verbs: str) -> dict[str, Any]:
    return {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}


_ANSWERS: dict[str, Any] = {
    "/readyz": "ok",
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "batch", "versions": [_BATCH], "preferredVersion": _BATCH}],
    },
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [_resource("configmaps", "ConfigMap", "list", "delete")],
    },
    "/apis/batch/v1": {
        "kind": "APIResourceList",
        "groupVersion": "batch/v1",
        "resources": [_resource("cronjobs", "CronJob", "get"), _resource("jobs", "Job", "get")],
    },
    "/api/v1/configmaps": {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {}, "items": []},
}


def git(place: Path, *words: str) -> str:
    """Run git; return its output."""
    done = subprocess.run(["git", *IDENTITY, *words], cwd=place, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextmanager
def api_server() -> Iterator[str]:
    """Yield a kubeconfig for a cluster that has no object."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = _ANSWERS.get(self.path.partition("?")[0])
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            body = answer if isinstance(answer, str) else json.dumps(answer or status)
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        clusters = [{"name": "empty", "cluster": {"server": address}}]
        contexts = [{"name": "stellwerk", "context": {"cluster": "empty", "user": "runner"}}]
        users = [{"name": "runner", "user": {"token": "canary-token-of-the-cluster"}}]
        yield json.dumps(
            {"apiVersion": "v1", "kind": "Config", "clusters": clusters, "contexts": contexts, "users": users}
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def remote(folder: Path) -> Path:
    """Make a bare repository of this checkout with the tests' environments, whose runners have their Python already."""
    root, bare = folder / "origin", folder / "origin.git"
    root.mkdir()
    copy_checkout(root)
    (root / "infra" / "local" / "bootstrap").write_text("#!/bin/sh\necho 'the Python environment is there'\n")
    # Two are as good as three, and each takes its time.
    (root / "stacks" / "Pulumi.prod.yaml").unlink()
    git(root, "commit", "--quiet", "--all", "--message", "Runners have their Python")
    git(root, "branch", "--move", "main")
    git(folder, "clone", "--quiet", "--bare", str(root), str(bare))
    shutil.rmtree(root)
    return bare


@dataclass
class Machine:
    """The runner: its clone, and what each of its processes finds set."""

    root: Path
    variables: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, bare: Path) -> "Machine":
        """Clone the repository, as CI's checkout does it."""
        root = folder / "work"
        git(folder, "clone", "--quiet", str(bare), str(root))
        programs = root / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name, words in {"python": "", "stellwerk": " -m delivery.cli"}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
            (programs / name).chmod(0o755)
        dropped = ("AWS_", "GIT_", "GITHUB_", "GITLAB_", "PULUMI_", "STELLWERK_", "KUBE", "CI")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        path = f"{folder / 'bin'}:{programs}:{kept['PATH']}"
        own = {"PATH": path, "PYTHONPATH": str(root), "STELLWERK_STATE": str(folder / "state"), "COLUMNS": "200"}
        return cls(root, {**kept, **own, "RUNNER_TEMP": str(folder / "temp"), "TMPDIR": str(folder / "temp")})

    @property
    def programs(self) -> Path:
        """Where a test puts programs that the machine has."""
        return self.root.parent / "bin"

    def run(self, step: Step, given: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a step with the variables that CI sets for it."""
        script, temporary = self.root.parent / "script.sh", Path(self.variables["TMPDIR"])
        temporary.mkdir(exist_ok=True)
        script.write_text(step.script)
        environ = {**self.variables, **given, **{name: str(value) for name, value in step.variables.items()}}
        done = subprocess.run(
            [*step.shell, str(script)], cwd=self.root, env=environ, capture_output=True, text=True, check=False
        )
        assert [file.name for file in temporary.glob("tmp.*")] == [], "the kubeconfig goes with the command"
        return done
