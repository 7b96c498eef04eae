"""A model's two releases in a real repository, the history of prod's stack, and who answers for the rest."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.contract.release import Releases
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.documents import yaml
from tests.support.engine import FakeEngine
from tests.support.session import Bench, FakeCluster

SUBJECT = "ABC-12 Cross sevens <script>alert('&')</script>"
CSV = b"x,y\n1,2\n"
_WHO = {
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.test", "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.test", "GIT_AUTHOR_DATE": "2026-01-30T12:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-30T12:00:00Z", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip


def at(hour: int, minute: int = 0) -> datetime:
    """Return a moment of the day on which everything happens."""
    return datetime(2026, 2, 1, hour, minute, tzinfo=UTC)


@dataclass
class World:
    """What a trace can ask, for a test to change."""

    checkout: Checkout
    releases: Releases
    backend: Path
    engine: FakeEngine
    cluster: FakeCluster
    commits: list[str] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[str, dict[str, str]] = field(default_factory=dict)
    pods: list[dict[str, Any]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.checkout.root, env={**_WHO, "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, message: str, *paths: str) -> str:
        self.git("add", *paths or (".",))
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def edit(self, release: str, section: str, **values: Any) -> None:
        """Change values of a release's file."""
        file = self.releases.file(MODEL, release)
        document = yaml().load(file)
        document[section].update(values)
        yaml().dump(document, file)

    def apply(
        self,
        release: str | None,
        moment: datetime,
        result: str = "succeeded",
        dirty: str = "true",
        message: str = "stellwerk, by Ada",
    ) -> None:
        """Write an update of prod as a file backend keeps it, and what the stack's state then is."""
        known = {"git.head": self.commits[-1], "git.committer": "Ada", "git.dirty": dirty}
        document = {
            "kind": "update", "startTime": int(moment.timestamp()), "endTime": int(moment.timestamp()) + 10,
            "result": result, "environment": known, "message": message,
            "config": {"stellwerk:models": {MODEL: {"release": release, "previous": None}}},
        }  # fmt: skip
        folder = self.backend / ".pulumi" / "history" / self.engine.project / "prod"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"prod-{document['startTime']}000000000.history.json").write_text(json.dumps(document))
        if result == "succeeded":
            self.state(release)

    def state(self, release: str | None) -> None:
        stack = {"type": "pulumi:pulumi:Stack", "urn": "x", "outputs": {"models": {MODEL: release}}}
        file = self.backend / ".pulumi" / "stacks" / self.engine.project / "prod.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": {"resources": [stack]}}}))

    def predict(self, identity: str, release: str, moment: datetime, **more: Any) -> None:
        """Let the log store have the line of a prediction."""
        line = {
            "@timestamp": moment.isoformat().replace("+00:00", ".250Z"), "http": {"request": {"id": identity}},
            "service.environment": "prod", "stellwerk": {"model": MODEL, "release": release, "rows": 3},
            "http.response.status_code": 200, "kubernetes.pod.name": f"pod-of-{release}", **more,
        }  # fmt: skip
        self.lines.append(line)

    def run_pod(self, release: str, image: str | None = None) -> None:
        """Let the cluster have a pod of a release, with its image unless another one is given."""
        image = image or self.releases.load(MODEL, release).serving.image
        container = {"name": "kserve-container", "image": image, "env": [{"name": "RELEASE", "value": release}]}
        status = {"phase": "Running", "startTime": "2026-02-01T12:00:05Z"}
        self.pods.append({"metadata": {"name": f"pod-of-{release}"}, "spec": {"containers": [container]},
                          "status": status})  # fmt: skip

    def search(self, request: httpx.Request) -> httpx.Response:
        """Answer as Elasticsearch does: what equals all filters, the newest first."""
        if "log store" in self.silent:
            raise httpx.ConnectError("connection refused")
        query = json.loads(request.content)
        hits = [
            line for line in self.lines if all(_matches(flat(line), each) for each in query["query"]["bool"]["filter"])
        ]
        hits.sort(key=lambda line: line["@timestamp"], reverse=True)
        if "collapse" in query:
            name = query["collapse"]["field"]
            hits = list({flat(line)[name]: line for line in reversed(hits)}.values())
        return httpx.Response(200, json={"hits": {"hits": [{"_source": line} for line in hits[: query["size"]]]}})

    def track(self, request: httpx.Request) -> httpx.Response:
        """Answer as MLflow does."""
        if "tracking server" in self.silent:
            raise httpx.ConnectError("connection refused")
        identity = request.url.params["run_id"]
        if identity not in self.runs:
            return httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST"})
        tags = [{"key": key, "value": value} for key, value in self.runs[identity].items()]
        info = {"run_id": identity, "status": "FINISHED", "start_time": 1}
        return httpx.Response(200, json={"run": {"info": info, "data": {"tags": tags}}})


def flat(line: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the fields of a line as Elasticsearch indexes them."""
    fields: dict[str, Any] = {}
    for key, value in line.items():
        fields |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return fields


def _matches(line: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    ((kind, what),) = given.items()
    if kind == "exists":
        return what["field"] in line
    ((name, value),) = what.items()
    return line.get(name) in value if kind == "terms" else line.get(name) == value


@pytest.fixture
def world(
    project: Checkout, releases: Releases, pulumi: FakeEngine, cluster: FakeCluster, bench: Bench, tmp_path: Path
) -> World:
    """Prod has had the first release from 10:00, the second from 12:00, and the first again from 14:00."""
    made = World(project, releases, tmp_path / "state" / "backend", pulumi, cluster)
    code, folder = project.root / "models" / MODEL / "train.py", project.root / "models" / MODEL
    made.git("init", "--quiet", "--template=", "--initial-branch=main")
    (folder / "rows.csv").write_bytes(CSV)
    made.commits.append(made.commit("ABC-1 Read digits", "models", ":(glob)stacks/*.yaml"))
    code.write_text(code.read_text() + "# crossed\n")
    made.commits.append(made.commit(f"{SUBJECT}\n\nAs asked for by ABC-13.", "models"))
    (project.root / "elsewhere.txt").write_text("")
    made.commit("ABC-99 Something else", "elsewhere.txt")
    for number, (release, commit) in enumerate(zip((FIRST, SECOND), made.commits, strict=True), 1):
        made.edit(release, "training", commit=commit, job=f"train-{number}")
        made.edit(release, "run", runId=f"run-{number}")
        file = releases.file(MODEL, release)
        file.write_text(file.read_text().replace("requirements: []", "requirements: [ABC-7]"))
        digest = "sha256:" + "ab" * 32
        made.runs[f"run-{number}"] = {
            "stellwerk.data.digest": digest, "mlflow.source.git.commit": commit, "stellwerk.job": f"train-{number}",
        }  # fmt: skip
    made.commits.append(made.commit("Releases"))
    for release, hour in ((FIRST, 10), (SECOND, 12), (FIRST, 14)):
        made.apply(release, at(hour))
    for identity, release, hour in (("early", FIRST, 11), ("middle", SECOND, 13), ("late", FIRST, 15)):
        made.predict(identity, release, at(hour))
    made.run_pod(FIRST)
    cluster.listed = lambda _: made.pods
    bench.log_store, bench.tracking = made.search, made.track
    return made


def chains(out: str) -> Sequence[dict[str, dict[str, Any]]]:
    """Return the links of each chain of a trace by their kind."""
    document = json.loads(out)
    return [{link["kind"]: link for link in chain["links"]} for chain in document["chains"]]
