"""A real API server that asks who may do what, on loopback; nobody else is there."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.local.cluster import configuration
from tests.support.tools import eventually, free_port, running, tool

ADMIN = "admin"


@dataclass(frozen=True)
class ApiServer:
    """Where it listens, and its folder; each user's token is `token-of-<user>`."""

    folder: Path
    port: int

    def kubectl(self, *arguments: str, stdin: str = "", user: str = ADMIN) -> tuple[int, str]:
        """Return the exit code and both outputs of kubectl."""
        place = [f"--server=https://127.0.0.1:{self.port}", f"--token=token-of-{user}", "--insecure-skip-tls-verify",
                 "--kubeconfig=/dev/null", f"--cache-dir={self.folder}/cache"]  # fmt: skip
        command = [tool("kubectl"), *place, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """Make these objects as the administrator; a definition of before is established at the next try."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        for tries in range(20):
            code, said = self.kubectl("apply", "--server-side", "-f", "-", stdin=text)
            if code == 0 or "no matches for kind" not in said:
                break
            time.sleep(0.1 * tries)
        assert code == 0, said

    def kubeconfig(self, user: str, context: str) -> Path:
        """Return a kubeconfig with this one context, by which a user asks."""
        server = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": f"{self.folder}/certs/apiserver.crt",
        }
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": context,
            "clusters": [{"name": context, "cluster": server}],
            "users": [{"name": user, "user": {"token": f"token-of-{user}"}}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
        }  # fmt: skip
        file = self.folder / f"kubeconfig-{user}"
        file.write_text(json.dumps(document))
        return file


@contextmanager
def api_server(folder: Path, *users: str) -> Iterator[ApiServer]:
    """Run one as long as the context lasts, for an administrator and these users, with the local node's admission."""
    etcd, peer, port = free_port(), free_port(), free_port()
    key = rsa.generate_private_key(65537, 2048)
    (folder / "sa.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    (folder / "admission.yaml").write_text(yaml.safe_dump(configuration.admission()))
    tokens = [
        f'token-of-{ADMIN},{ADMIN},{ADMIN},"system:masters"',
        *(f"token-of-{name},{name},{name}" for name in users),
    ]
    (folder / "tokens.csv").write_text("\n".join(tokens) + "\n")
    store, log = f"http://127.0.0.1:{etcd}", folder / "server.log"
    commands = [
        [tool("etcd"), f"--data-dir={folder}/etcd", f"--listen-client-urls={store}", f"--advertise-client-urls={store}",
         f"--listen-peer-urls=http://127.0.0.1:{peer}", "--unsafe-no-fsync"],
        [tool("kube-apiserver"), f"--etcd-servers={store}", "--bind-address=127.0.0.1", f"--secure-port={port}",
         f"--cert-dir={folder}/certs", "--service-account-issuer=https://kubernetes.default.svc",
         f"--service-account-key-file={folder}/sa.key", f"--service-account-signing-key-file={folder}/sa.key",
         f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC", "--endpoint-reconciler-type=none",
         "--service-cluster-ip-range=10.96.0.0/16", f"--admission-control-config-file={folder}/admission.yaml",
         # Nobody makes a service account here.
         "--disable-admission-plugins=ServiceAccount"],
    ]  # fmt: skip
    made = ApiServer(folder, port)
    with ExitStack() as stack:
        for number, command in enumerate(commands):
            stack.enter_context(running(command, log if number else folder / "etcd.log"))
        eventually(lambda: made.kubectl("get", "--raw=/readyz")[1] == "ok", log)
        yield made
