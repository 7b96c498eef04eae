"""A real Elasticsearch on loopback, with the image's own entry point and the files that LogStack makes."""

import os
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.logging.arguments import LogStackArgs, LogUserArgs
from components.logging.log_stack import LogStack
from delivery.operations.authority import make_authority, sign
from infra.composition.draft import hashed
from infra.local.toolchain.paths import build_contexts
from infra.values import ROOT
from tests.components.mocks import declared
from tests.support.objects import objects
from tests.support.tools import free_port

IMAGE = ROOT / "components/logging/images/elasticsearch"
# The server refuses root.
NOBODY = 65534
_START_SECONDS = 600


@contextmanager
def folder_of_a_server() -> Iterator[Path]:
    """Yield a folder that the server's user reaches, unlike pytest's own; remove it afterwards."""
    made = Path(tempfile.mkdtemp(prefix="stellwerk-logs-"))
    made.chmod(0o755)
    (made / "store").mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made)


class RealStore:
    """The server in `folder`, which others than root can reach; `passwords` are those of its users by name."""

    def __init__(
        self,
        folder: Path,
        passwords: Mapping[str, str],
        readers: Mapping[str, list[str]] | None = None,
        environment: str = "dev",
    ) -> None:
        content = build_contexts() / "elasticsearch"
        if not content.is_dir() or shutil.which("java") is None:
            pytest.skip("no Elasticsearch or no Java here: `stellwerk cluster up` gets the first")
        self.folder, self.passwords, self.process = folder, passwords, None
        self._environment = environment
        self.port, self.ready = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        folder.chmod(0o755)
        shutil.copytree(content, folder / "server", symlinks=False)
        self.authority, key = make_authority("tests")
        pair = sign(self.authority, key, ["log-store", "127.0.0.1"])
        self._files({"tls.crt": pair["certificate"], "tls.key": pair["key"]}, readers or {})
        for name in ("config", "data", "tmp", "secrets", "state"):
            (folder / name).mkdir(exist_ok=True)
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder], check=True)
        self.trust = ssl.create_default_context(cadata=self.authority)
        self.client = httpx.Client(base_url=self.url, verify=self.trust, trust_env=False, timeout=60,
                                   auth=("elastic", passwords["elastic"]))  # fmt: skip

    process: subprocess.Popen[bytes] | None

    def _files(self, pair: Mapping[str, str], readers: Mapping[str, list[str]]) -> None:
        users: dict[str, LogUserArgs] = {name: {"password": word, "hash": hashed(word)}
                 for name, word in self.passwords.items()}  # fmt: skip
        args: LogStackArgs = {
            "environment": self._environment, "namespace": "dev-platform",
            "image": "x", "shipper_image": "x", "pull_secret": "x",
            "tls": {"certificate": pair["tls.crt"], "key": pair["tls.key"]}, "trust_bundle": self.authority,
            "users": users, "readers": readers, "heap": "1g", "storage": "1Gi", "address": "127.0.0.1",
            "node_port": 32000, "pod_logs_path": "/var/log/pods",
        }  # fmt: skip
        made = {each["metadata"]["name"]: each for each in objects(declared(lambda: LogStack("logs", args)))
                if each["kind"] in ("Secret", "ConfigMap")}  # fmt: skip
        (secret,) = [each for name, each in made.items() if name.startswith("logs-store-secret")]
        for folder, files in (("secrets", secret["stringData"]), ("state", made["logs-store-config"]["data"])):
            (self.folder / folder).mkdir()
            for name, text in files.items():
                (self.folder / folder / name).write_text(text)

    def start(self) -> None:
        """Start the server; return when it has its templates."""
        java = Path(os.path.realpath(str(shutil.which("java")))).parents[1]
        environment = {
            "PATH": os.environ["PATH"], "HEAP": "1g", "SECRETS": f"{self.folder}/secrets",
            "STATE": f"{self.folder}/state/state.json", "ES_HOME": f"{self.folder}/server", "ES_JAVA_HOME": str(java),
            "ES_DEFAULTS": str(self._defaults()), "ES_PATH_CONF": f"{self.folder}/config",
            "ES_PATH_DATA": f"{self.folder}/data", "ES_TMPDIR": f"{self.folder}/tmp",
        }  # fmt: skip
        ports = [f"-Ehttp.port={self.port}", f"-Ereadiness.port={self.ready}", "-Ehttp.host=127.0.0.1"]
        ports.append(f"-Etransport.port={free_port()}")
        with (self.folder / "own.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", self.folder / "entrypoint.sh", *ports], env=environment, user=NOBODY, group=NOBODY,
                extra_groups=[], stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.5)

    def _defaults(self) -> Path:
        """Return the image's configuration where the server's user reads it, and put the entry point beside it."""
        folder = self.folder / "defaults"
        if not folder.exists():
            shutil.copytree(IMAGE / "config", folder)
            shutil.copy(IMAGE / "entrypoint.sh", self.folder / "entrypoint.sh")
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", folder, self.folder / "entrypoint.sh"], check=True)
        return folder

    def _answers(self) -> bool:
        try:
            return self.client.get("/_index_template/logs-stellwerk").is_success
        except httpx.HTTPError:
            return False

    def said(self) -> str:
        """Return the end of the server's log."""
        return (self.folder / "own.log").read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """Kill the server at once: that is the outage."""
        if self.process is not None:
            # The launcher and the server it has started.
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None

    def count(self, index: str = "logs-stellwerk*") -> int:
        """Return how many documents there are."""
        self.client.post(f"/{index}/_refresh")
        answer = self.client.get(f"/{index}/_count")
        return int(answer.json()["count"]) if answer.is_success else 0

    def messages(self, index: str = "logs-stellwerk*") -> list[str]:
        """Return the messages of all documents."""
        body: dict[str, Any] = {"size": 10_000, "_source": ["message"], "sort": ["_doc"]}
        answer = self.client.post(f"/{index}/_search?scroll=5m", json=body).json()
        documents: list[str] = []
        while hits := answer["hits"]["hits"]:
            documents += [hit["_source"]["message"] for hit in hits]
            answer = self.client.post(
                "/_search/scroll", json={"scroll": "5m", "scroll_id": answer["_scroll_id"]}
            ).json()
        return documents
