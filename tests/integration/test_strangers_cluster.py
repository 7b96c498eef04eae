"""The main job on a cluster of somebody else's: with the rights that `stellwerk access` prints and no others.

The local cluster plays the stranger's: registry, object store, tracking server and log store are known by URL and
login, KServe is there, the entry is a Gateway of the company's, and nothing on this machine says that it is local.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml.scalarstring import LiteralScalarString

from components.kit import ports
from delivery.clients.kubectl import Kubectl
from delivery.operations import authority
from infra.contract.versions import platform_image
from infra.local.cluster.layout import ADDRESS, Layout
from infra.targets.variables import BUILD_CONTEXTS, BUILD_SECRETS, LOCAL_CONTEXT
from tests.support import companys_gateway, front, plain_http
from tests.support.cluster import registry_alone
from tests.support.object_store import BUCKET
from tests.support.project import Project, copy_checkout, eventually
from tests.support.stores import tls_server
from tests.support.tools import free_port, running, tool

pytestmark = [pytest.mark.integration, pytest.mark.lane("own"), pytest.mark.timeout(3600)]
GUEST, CONTEXT, MODEL, HOST = "guest", "theirs", "parcels", "localhost"
# Whom the cluster's owner knows.
ACCOUNT_NAMESPACE, ACCOUNT = "strangers", "engineer"
# Of an entry of the guest's own: none of the environments' and of other tests' node ports.
OWN_PORT = 30449
# What the test brings of the company's own beside its namespaces.
_COMPANYS = ("gatewayclass/companys", "ingressclass/companys")


@pytest.fixture(scope="module")
def companys(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str, front.Front]]:
    """The company's gateway and tracking server: the gateway's port, whom to trust, where runs are recorded."""
    folder, port = tmp_path_factory.mktemp("company"), free_port()
    trusted, pair = companys_gateway.certified(HOST)
    definitions = companys_gateway.definitions()
    objects = [*definitions, *companys_gateway.gateway(port, pair, "stellwerk.dev/environment")]
    account = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ACCOUNT_NAMESPACE}}
    _apply(project, *definitions)
    project.kubectl("wait", "--for=condition=Established", *(f"crd/{each['metadata']['name']}" for each in definitions))
    _apply(project, *objects[len(definitions) :], account)
    project.kubectl("-n", ACCOUNT_NAMESPACE, "create", "serviceaccount", ACCOUNT)
    tls = authority.sign(project.authority("dev"), project.credentials("dev")["caKey"], [ADDRESS])
    kubectl = Kubectl("dev", LOCAL_CONTEXT, {**project.shell, **project.variables})
    with ExitStack() as running:
        admin = Path(project.variables["KUBECONFIG"])
        running.enter_context(companys_gateway.traefik(admin, "127.0.0.1", port, folder / "traefik.log"))
        local = running.enter_context(kubectl.forwarded("dev-platform", "tracking", ports.TRACKING))
        yield port, trusted, running.enter_context(front.front(ADDRESS, local, tls_server(tls, folder)))
    namespaces = [f"namespace/{name}" for name in (ACCOUNT_NAMESPACE, companys_gateway.NAMESPACE)]
    project.kubectl("delete", *_COMPANYS, *namespaces, "--ignore-not-found")
    project.kubectl("delete", *(f"crd/{each['metadata']['name']}" for each in definitions), "--ignore-not-found")


def _apply(project: Project, *documents: Any) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
    done = project.run("kubectl", "apply", "--server-side", "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def guest(
    project: Project, companys: tuple[int, str, front.Front], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """A checkout of the guest's, whose commands have nothing of the local cluster but its image builder."""
    folder = tmp_path_factory.mktemp("guest")
    root = folder / "checkout"
    root.mkdir()
    copy_checkout(root)
    for name in (".venv", ".toolchain"):
        (root / name).symlink_to(project.root / name)
    shutil.rmtree(root / "stacks")
    (root / "stacks").mkdir()
    shutil.rmtree(root / "models")
    variables = {
        "PATH": project.variables["PATH"], "PYTHONPATH": str(root), "KUBECONFIG": str(_kubeconfig(project, folder)),
        "DOCKER_CONFIG": project.variables["DOCKER_CONFIG"], "PULUMI_HOME": str(folder / "pulumi"),
        **{name: project.variables[name] for name in (BUILD_SECRETS, BUILD_CONTEXTS)},
        "PULUMI_BACKEND_URL": f"file://{folder}/backend", "PULUMI_CONFIG_PASSPHRASE": "of the guest",
        "STELLWERK_WORK": str(folder / "work"), "KUBECACHEDIR": str(folder / "kube"),
    }  # fmt: skip
    (folder / "backend").mkdir()
    made = replace(project, root=root, state=folder / "none", variables=variables, expected={}, _gateways={})
    made.stack_file(GUEST).write_text(yaml.safe_dump({"config": _values(project, companys[0], companys[2].url)}))
    yield made
    project.kubectl("delete", "clusterrole,clusterrolebinding", "--ignore-not-found", *(
        f"stellwerk:{GUEST}{end}" for end in ("", ":namespaces")
    ))  # fmt: skip
    project.kubectl("delete", "namespace", "--ignore-not-found", *(
        f"{GUEST}-{purpose}" for purpose in ("platform", "training", "serving")
    ))  # fmt: skip


def _kubeconfig(project: Project, folder: Path) -> Path:
    """Return a kubeconfig of the guest's, with a context of another name and a token of the service account."""
    document = yaml.safe_load(Path(project.variables["KUBECONFIG"]).read_text())
    token = project.kubectl("-n", ACCOUNT_NAMESPACE, "create", "token", ACCOUNT, "--duration=2h").strip()
    (cluster,) = document["clusters"]
    made = {
        "apiVersion": "v1", "kind": "Config", "current-context": CONTEXT,
        "clusters": [{**cluster, "name": CONTEXT}], "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": ACCOUNT}}],
    }  # fmt: skip
    file = folder / "kubeconfig"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(made))
    return file


def _values(project: Project, port: int, tracking: str) -> dict[str, Any]:
    company = project.values("dev")
    store, logs = (company[f"stellwerk:{key}"]["nodePort"] for key in ("objectStore", "logging"))
    values = {
        "environment": GUEST,
        "cluster": {"context": CONTEXT, "address": ADDRESS, "shared": True, "ownRuntime": True},
        "images": {"basePython": {"build": True}},
        "quota": {"cpu": "4", "memory": "6Gi", "pods": 20, "storage": "5Gi"},
        "roles": {"developers": ["guests"], "operators": ["guests"]},
        "registry": {"mode": "external", "address": company["stellwerk:registry"]["address"]},
        "objectStore": {"mode": "external", "bucket": BUCKET, "endpoint": f"https://{ADDRESS}:{store}"},
        "tracking": {"mode": "external", "url": tracking},
        "logging": {"mode": "external", "url": f"https://{ADDRESS}:{logs}"},
        "gateway": {
            "mode": "gatewayApi", "url": f"https://{HOST}:{port}",
            "parent": {
                "name": companys_gateway.NAME, "namespace": companys_gateway.NAMESPACE,
                "section": companys_gateway.LISTENER,
            },
        },
        "training": {MODEL: {}},
        "models": {MODEL: {"release": None, "previous": None}},
    }  # fmt: skip
    return {f"stellwerk:{key}": value for key, value in values.items()}


def _logins(project: Project) -> dict[str, str]:
    """Return the variables with the logins that the services' owners have given out."""
    given = project.credentials("dev")
    registry, store = given["registry"]["push"], given["objectStore"]
    return {
        "STELLWERK_REGISTRY_USERNAME": registry["username"], "STELLWERK_REGISTRY_PASSWORD": registry["password"],
        "AWS_ACCESS_KEY_ID": store["accessKey"], "AWS_SECRET_ACCESS_KEY": store["secretKey"],
        "STELLWERK_TRACKING_USERNAME": front.USERNAME, "STELLWERK_TRACKING_PASSWORD": front.PASSWORD,
        "STELLWERK_LOG_STORE_USERNAME": "reader",
        "STELLWERK_LOG_STORE_PASSWORD": given["logStore"]["users"]["reader"]["password"],
    }  # fmt: skip


@pytest.fixture
def mirrored(project: Project, tmp_path: Path) -> Iterator[str]:
    """The gateway's image by digest in a registry of the company's, which asks for no login."""
    host = f"127.0.0.1:{free_port()}"
    config = tmp_path / "registry.json"
    config.write_text(json.dumps({
        "version": "0.1", "http": {"addr": host}, "storage": {"filesystem": {"rootdirectory": f"{tmp_path}/images"}},
    }))  # fmt: skip
    name, log = f"{host}/platform/traefik", tmp_path / "registry.log"
    store = [tool("ctr"), "--address", Layout(project.state).containerd_socket, "--namespace", "k8s.io", "images"]
    manifest, types = (
        f"http://{name.replace('/', '/v2/', 1)}/manifests/copied",
        "application/vnd.oci.image.index.v1+json",
    )
    with running([tool("registry"), "serve", config], log, {**project.shell, "OTEL_TRACES_EXPORTER": "none"}):
        subprocess.run([*store, "tag", platform_image("traefik"), f"{name}:copied"], check=True)
        eventually("the registry answers", 180, lambda: "listening on" in log.read_text())
        subprocess.run([*store, "push", "--plain-http", f"{name}:copied"], check=True, capture_output=True)
        # Of the node's own store it must not come.
        subprocess.run([*store, "rm", f"{name}:copied"], check=True)
        answer = plain_http.get(manifest, headers={"Accept": f"{types}, {types.replace('index', 'manifest')}"})
        yield f"{name}@{answer.raise_for_status().headers['Docker-Content-Digest']}"


def test_the_main_job_on_a_stranger_s_cluster(
    project: Project, guest: Project, companys: tuple[int, str, front.Front], mirrored: str
) -> None:
    _, trusted, server = companys
    guest.stellwerk("model", "new", MODEL, "--template", "sklearn")
    guest.stellwerk("init", GUEST, **_logins(project))

    def trust(config: Any) -> None:
        authorities = config["stellwerk:caCertificate"] + project.authority("dev") + trusted
        config["stellwerk:caCertificate"] = LiteralScalarString(authorities)

    guest.edit(GUEST, trust)
    refused = guest.pulumi("preview", "--stack", GUEST, ok=False)
    # A preview only warns; that an update fails is seen in tests/program/test_strangers_cluster.py.
    assert "forbidden" in refused.stdout + refused.stderr
    printed = guest.stellwerk("access", "--env", GUEST, "--service-account", f"{ACCOUNT_NAMESPACE}/{ACCOUNT}").stdout
    granted = project.run("kubectl", "apply", "--server-side", "-f", "-", stdin=printed)
    assert granted.returncode == 0, granted.stderr

    # It pushes what it has built to dev's registry.
    with registry_alone(project):
        guest.up(GUEST)
    job = guest.ask("train", MODEL, "--wait")["job"]
    assert server.passed and not server.refused, "the Job has recorded its run at the company's server"
    release = guest.ask("release", MODEL, "--job", job)["release"]
    guest.stellwerk("promote", MODEL, "--to", GUEST, "--release", release, "--yes")
    answer = guest.ask("predict", MODEL, "--env", GUEST)
    assert answer["release"] == release
    asked = ("--env", GUEST, "--request-id", answer["request_ids"][0], "--wait")
    assert [line["service.environment"] for line in guest.ask("logs", *asked)["hits"]] == [GUEST]
    assert guest.ask("runs", MODEL)["runs"][0]["job"] == job
    guest.assert_no_changes(GUEST)

    def own_entry(config: Any) -> None:
        config["stellwerk:gateway"] = {"nodePort": OWN_PORT}
        config["stellwerk:images"]["traefik"] = mirrored

    guest.edit(GUEST, own_entry)
    guest.up(GUEST)
    (pod, *_) = project.pods("-n", f"{GUEST}-platform", "-l", "app=gateway")
    assert pod["spec"]["containers"][0]["image"] == mirrored
    assert guest.ask("predict", MODEL, "--env", GUEST)["release"] == release, "an image from a mirror takes requests"

    guest.pulumi("destroy", "--stack", GUEST, "--yes", "--skip-preview")
    assert f"{GUEST}-" not in project.kubectl("get", "namespaces", "-o", "name")
    assert not guest.state.exists(), "no command has made a state folder of the local cluster"
