"""KServe's controller as a process beside a cluster of simulated nodes: what a cluster's owner installs, by version."""

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from components.kit.names import CAPACITY
from components.serving.inference_service import InferenceService
from components.serving.kserve import KServe
from delivery.clients.control_plane import ControlPlane
from delivery.operations.authority import make_authority, sign
from infra.local.toolchain.paths import view
from tests.components.declarations import inference_args, static
from tests.components.mocks import declared
from tests.support.tools import eventually, free_port, running, tool

Object = dict[str, Any]
NAMESPACE, OWNERS = "prod-serving", "dev-kserve"
# Where the API server has what a model becomes: looked at often, and each kubectl costs a start.
_APIS = {
    "inferenceservices": "apis/serving.kserve.io/v1beta1", "deployments": "apis/apps/v1", "services": "api/v1",
    "pods": "api/v1",
}  # fmt: skip
_APPLY = ["apply", "--server-side", "--force-conflicts", "--field-manager=stellwerk", "-f"]


@dataclass(frozen=True)
class Release:
    """A version of KServe by its tools' names, and its word for services that are plain Deployments."""

    manager: str
    manifests: str
    mode: str


NOW = Release("kserve-manager", "kserve", "Standard")
PREVIOUS = Release("kserve-manager-previous", "kserve-previous", "RawDeployment")


@dataclass
class Installation:
    """KServe on the cluster behind `plane`: objects as the program declares them, one certificate for all."""

    plane: ControlPlane
    folder: Path
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the certificate that the API server trusts, the namespaces and a node."""
        self.authority, key = make_authority("dev")
        pair = sign(self.authority, key, ["localhost"])
        certificates = self.folder / "k8s-webhook-server" / "serving-certs"
        certificates.mkdir(parents=True)
        (certificates / "tls.crt").write_text(pair["certificate"])
        (certificates / "tls.key").write_text(pair["key"])
        capacity = {"cpu": "64", "memory": "256Gi", "pods": "110"}
        about = {"name": "node", "annotations": {"kwok.x-k8s.io/node": "fake", CAPACITY: json.dumps(capacity)}}
        named = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in (NAMESPACE, OWNERS)]
        self.apply([{"apiVersion": "v1", "kind": "Node", "metadata": about}, *named])

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Return what kubectl prints; fail with its message."""
        command = [tool("kubectl"), f"--kubeconfig={self.plane.kubeconfig}", f"--cache-dir={self.folder}/cache"]
        for _ in range(3):
            done = subprocess.run([*command, *arguments], input=stdin, capture_output=True, text=True, check=False)
            # It gives the server half a minute for its schemas, and a busy machine needs more, once.
            if "Please retry" not in done.stderr:
                break
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, *arguments: str) -> Object:
        """Return an object."""
        answer: Object = json.loads(self.kubectl("get", *arguments, f"--namespace={NAMESPACE}", "--output=json"))
        return answer

    def listed(self, kind: str) -> list[Object]:
        """Return the objects of a kind, by its plural, in the models' namespace."""
        items: list[Object] = self.plane.read(f"/{_APIS[kind]}/namespaces/{NAMESPACE}/{kind}")["items"]
        return items

    def apply(self, documents: Sequence[Object]) -> None:
        """Apply documents as the engine's provider does."""
        body = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.kubectl(*_APPLY, "-", stdin=json.dumps(body))

    def install(self, release: Release) -> None:
        """Apply definitions and settings of a release, in the program's order."""
        folder = view() / "manifests" / release.manifests
        program = declared(
            lambda: KServe(
                "kserve",
                {
                    "namespace": OWNERS,
                    "image": "kserve:1",
                    "manifests": str(folder),
                    "runtime_image": "registry/serving:1",
                    "tls": {"certificate": "certificate", "key": "key"},
                    "authority": self.authority,
                    "context": "stellwerk",
                },
            )
        )
        groups = program.of_kind("ConfigGroup")
        for file in [*groups["kserve-definitions"]["files"], *groups["kserve-role"]["files"]]:
            self.kubectl(*_APPLY, file)
        (config,) = program.of_kind("ConfigMap").values()
        # A snapshot shows what such texts say.
        data = {key: json.dumps(shown["[JSON]"]) for key, shown in config["data"].items()}
        self.apply([{**config, "data": data}])
        self.webhooks = [
            each
            for name in ("Mutating", "Validating")
            for each in program.of_kind(f"{name}WebhookConfiguration").values()
        ]
        self.runtime = program.of_kind("ClusterServingRuntime")["kserve-runtime"]

    @contextmanager
    def controller(self, release: Release) -> Iterator[Path]:
        """Run a release's controller; yield its log once its webhooks answer.

        One at a time: outside of a pod it has no lease by which two of them agree on who works.
        """
        port, health = free_port(), free_port()
        log = self.folder / f"{release.manager}.log"
        command = [
            tool(release.manager), "--metrics-addr=0", f"--webhook-port={port}",
            f"--health-probe-addr=127.0.0.1:{health}",
        ]  # fmt: skip
        variables = {
            "KUBECONFIG": str(self.plane.kubeconfig), "POD_NAMESPACE": OWNERS, "TMPDIR": str(self.folder),
            "HOME": str(self.folder),
        }  # fmt: skip
        with running(command, log, variables):
            eventually(lambda: all(_answers(health, path) for path in ("readyz", "healthz")), log)
            self.ports[release.manager] = port
            yield log

    def direct(self, release: Release) -> None:
        """Have the API server ask a release's webhooks: where Services lead nowhere, by their address."""
        documents = json.loads(json.dumps(self.webhooks))
        for document in documents:
            for webhook in document["webhooks"]:
                client = webhook["clientConfig"]
                path = client.pop("service")["path"]
                client["url"] = f"https://localhost:{self.ports[release.manager]}{path}"
                assert base64.b64decode(client["caBundle"]).decode() == self.authority
        self.apply([*documents, self.runtime])

    def serve(self, model: str, replicas: int, release: Release, **more: Any) -> None:
        """Declare a model as the component does: the service, and once KServe has made its Deployment, its pods.

        `more` are further arguments of the component.
        """
        about = {"model": model, "deployment_mode": release.mode, "replicas": replicas, **more}
        program = declared(lambda: InferenceService("model", {**inference_args(static()), **about}))  # type: ignore[typeddict-item]
        for kind in ("ResourceClaimTemplate", "InferenceService"):
            if declared_ones := list(program.of_kind(kind).values()):
                self.apply(declared_ones)
        log = self.folder / f"{release.manager}.log"
        eventually(lambda: f"{model}-predictor" in self.deployments(), log)
        (patch,) = program.of_kind("DeploymentPatch").values()
        self.kubectl(
            "patch", "deployment", f"{model}-predictor", f"--namespace={NAMESPACE}", "--type=merge",
            f"--patch={json.dumps({'spec': patch['spec']})}",
        )  # fmt: skip

    def deployments(self) -> Mapping[str, Object]:
        """Return the models' Deployments by name."""
        return {each["metadata"]["name"]: each for each in self.listed("deployments")}


def _answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/{path}", trust_env=False).is_success
    except httpx.HTTPError:
        return False
