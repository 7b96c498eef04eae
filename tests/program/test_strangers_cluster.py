"""An environment on a cluster of somebody else's: with the rights that `stellwerk access` prints, behind its gateway.

A real API server that asks who may do what, the real engine, and the real Traefik as the company's gateway.
"""

import json
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from components.gateway.routes import GatewayRoutes, IngressRoutes
from delivery.clients.engine import Engine
from delivery.clients.kubectl import Kubectl
from delivery.clients.owned import owned
from delivery.operations.access import SubjectKind, access
from delivery.project import Project
from delivery.session import LocalCluster, Session
from tests.components.mocks import declared
from tests.program.harness import Recording, credentials
from tests.support import companys_gateway
from tests.support.api_server import ADMIN, ApiServer, api_server
from tests.support.applied import applied
from tests.support.documents import whole_values
from tests.support.gateway import Backend
from tests.support.tools import eventually, free_port, tool
from tests.support.tools import running as among

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]
STACK, USER, CONTEXT, HOST = "prod", "engineer", "theirs", "models.example.com"
NAMESPACE = f"{STACK}-serving"
LABEL = "stellwerk.dev/environment"


@dataclass(frozen=True)
class Company:
    """The cluster, and its gateway: where it listens, and the authority of its certificate."""

    server: ApiServer
    port: int
    authority: str
    log: Path

    def client(self, host: str = HOST, authority: str | None = None) -> httpx.Client:
        """Return a client that takes the gateway's address for that of the host."""

        class Name(httpcore.SyncBackend):
            def connect_tcp(self, host: str, *arguments: Any, **options: Any) -> httpcore.NetworkStream:
                return super().connect_tcp("127.0.0.1", *arguments, **options)

        transport = httpx.HTTPTransport(verify=ssl.create_default_context(cadata=authority or self.authority))
        transport._pool._network_backend = Name()
        return httpx.Client(base_url=f"https://{host}:{self.port}", transport=transport, trust_env=False, timeout=300)

    def route(self, name: str, namespace: str) -> dict[str, Any]:
        """Return an HTTPRoute as the gateway has judged it: its conditions by their type."""
        _, text = self.server.kubectl("-n", namespace, "get", "httproute", name, "-o", "json")
        parents = json.loads(text).get("status", {}).get("parents", [])
        return {each["type"]: each for parent in parents for each in parent["conditions"]}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder, port = tmp_path_factory.mktemp("company"), free_port()
    certificate, pair = companys_gateway.certified(HOST)
    with ExitStack() as running:
        server = running.enter_context(api_server(folder, USER))
        server.apply(*companys_gateway.definitions())
        server.apply(*companys_gateway.gateway(port, pair, LABEL))
        admin, log = server.kubeconfig(ADMIN, CONTEXT), folder / "traefik.log"
        running.enter_context(companys_gateway.traefik(admin, "127.0.0.1", port, log))
        # The engine deletes an HTTPRoute in the foreground: whoever collects garbage ends it.
        names = ("resourcequota", "namespace", "garbage-collector")
        controllers = f"--controllers={','.join(f'{name}-controller' for name in names)}"
        manager = [tool("kube-controller-manager"), f"--kubeconfig={admin}", "--secure-port=0", "--leader-elect=false"]
        running.enter_context(among([*manager, controllers], folder / "controllers.log"))
        yield Company(server, port, certificate, log)


@pytest.fixture(scope="module")
def engine(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The real one in a project whose environment has nothing of its own but namespaces, for a user of the cluster."""
    values = whole_values(STACK) | {
        "releasesFrom": None,
        "cluster": {"context": CONTEXT, "address": "nodes.example.com", "shared": True},
        "registry": {"mode": "external", "address": "registry.example.com/team"},
        "objectStore": {"mode": "external", "bucket": "models", "endpoint": "https://s3.example.com"},
        "gateway": {
            "mode": "gatewayApi", "url": f"https://{HOST}:{company.port}",
            "parent": {
                "name": companys_gateway.NAME, "namespace": companys_gateway.NAMESPACE,
                "section": companys_gateway.LISTENER,
            },
        },
    }  # fmt: skip
    kubeconfig = company.server.kubeconfig(USER, CONTEXT)
    return applied(tmp_path_factory.mktemp("engine"), STACK, values, credentials(values), kubeconfig)


@pytest.fixture
def granted(company: Company, engine: Engine) -> Iterator[None]:
    """The cluster's owner has made what `stellwerk access` prints, until the test's end."""
    local = LocalCluster(lambda: engine.variables, lambda _: None, lambda: None)
    session = Session(Project(engine.root), engine.variables, local)
    given = access(session, STACK, SubjectKind.USER, USER)
    company.server.apply(*given)
    yield
    for item in given:
        if item["kind"] in ("ClusterRole", "ClusterRoleBinding"):
            company.server.kubectl("delete", item["kind"], item["metadata"]["name"])


def pulumi(engine: Engine, *words: str) -> tuple[int, str]:
    """Run the engine on the stack; exit code, and both outputs."""
    command = ["pulumi", *words, "--stack", STACK, "--non-interactive"]
    done = subprocess.run(command, cwd=engine.root, env=engine.variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def cluster(company: Company, engine: Engine, user: str) -> Kubectl:
    """The cluster as one of its users asks it."""
    return Kubectl(STACK, CONTEXT, {**engine.variables, "KUBECONFIG": str(company.server.kubeconfig(user, CONTEXT))})


def apply(engine: Engine, *words: str) -> str:
    """Apply the stack as it is; its output."""
    code, said = pulumi(engine, *(words or ("up",)), "--yes", "--skip-preview")
    assert code == 0, said
    return said


def test_without_these_rights_nothing_is_applied(company: Company, engine: Engine) -> None:
    code, said = pulumi(engine, "up", "--yes", "--skip-preview")
    assert code != 0 and "is forbidden" in said, said
    assert f"{STACK}-" not in company.server.kubectl("get", "namespaces", "-o", "name")[1]


@pytest.mark.usefixtures("granted")
def test_with_these_rights_an_environment_is_applied_unchanged_and_taken_away(company: Company, engine: Engine) -> None:
    # Nothing is there yet: a binding is tried out before the role that it names is made.
    code, said = pulumi(engine, "preview")
    assert code == 0 and "orbidden" not in said and "not found" not in said, said
    apply(engine)
    code, said = pulumi(engine, "preview", "--expect-no-changes", "--diff")
    assert code == 0, said
    kinds = "roles,rolebindings,networkpolicies,resourcequotas,secrets,httproutes"
    _, made = company.server.kubectl("-n", NAMESPACE, "get", kinds, "-o", "name")
    for name in ("role.rbac.authorization.k8s.io/operators", "httproute.gateway.networking.k8s.io/digits"):
        assert name in made.split()
    eventually(lambda: "ResolvedRefs" in company.route("digits", NAMESPACE), company.log)
    conditions = company.route("digits", NAMESPACE)
    assert conditions["Accepted"]["status"] == "True"
    assert conditions["ResolvedRefs"]["reason"] == "BackendNotFound", "the model has no release yet"
    assert engine.outputs(STACK)["gateway"] == f"https://{HOST}:{company.port}"
    seen = {user: owned(cluster(company, engine, user), engine.project, STACK) for user in (USER, ADMIN)}
    assert seen[USER] == seen[ADMIN], "the user sees what the administrator does"
    assert {"HTTPRoute", "Namespace", "Secret"} <= {item.kind for item in seen[USER]}
    # What may not be done in other namespaces, or to them.
    for words in (("get", "secrets", "-n", "edge"), ("create", "namespace", "more"), ("delete", "namespace", "edge")):
        code, said = company.server.kubectl(*words, user=USER)
        assert code and "orbidden" in said, words
    # A role may be bound before it is made, but gives no more than these rights then.
    for words in (
        ("create", "role", "developers", "--verb=create", "--resource=pods"),
        ("create", "rolebinding", "mine", f"--user={USER}", "--role=theirs"),
        ("create", "rolebinding", "mine", f"--user={USER}", "--clusterrole=cluster-admin"),
    ):
        code, said = company.server.kubectl(*words, "-n", NAMESPACE, user=USER)
        assert code and ("orbidden" in said or "not found" in said), (words, said)
    # Tokens, shells and other people's names are nothing that an environment needs.
    asked = ("auth", "can-i", "-n", NAMESPACE, "--quiet")
    for words in (
        ("create", "pods", "--subresource=exec"),
        ("create", "serviceaccounts", "--subresource=token"),
        ("impersonate", "serviceaccounts"),
    ):
        assert company.server.kubectl(*asked, *words, user=USER)[0] != 0, words
    apply(engine, "destroy")
    assert f"{STACK}-" not in company.server.kubectl("get", "namespaces", "-o", "name")[1]


OTHER = "letters-serving"


@pytest.fixture(scope="module")
def answering(company: Company) -> Iterator[Mapping[str, Backend]]:
    """Two Services of a model, each of a process on this machine."""
    address = companys_gateway.own_address()
    backends = {name: Backend(address) for name in ("letters-predictor", "letters-canary")}
    company.server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OTHER, "labels": {LABEL: "x"}}})
    for name, backend in backends.items():
        company.server.apply(*companys_gateway.endpoints(OTHER, name, address, backend.port))
    yield backends
    for backend in backends.values():
        backend.close()


def routes(services: Mapping[str, int], namespace: str = OTHER) -> list[dict[str, Any]]:
    """The HTTPRoute of a model whose requests these Services share."""
    program = declared(
        lambda: GatewayRoutes(
            "it",
            {
                "namespace": namespace,
                "parent": {"name": companys_gateway.NAME, "namespace": companys_gateway.NAMESPACE},
                "hostname": HOST,
                "clients": [companys_gateway.NAMESPACE],
                "routes": [{"name": "letters", "path_prefix": "/v2/models/letters", "services": services}],
            },
        )
    )
    return list(program.of_kind("HTTPRoute").values())


def is_true(company: Company, condition: str) -> bool:
    return company.route("letters", OTHER).get(condition, {}).get("status") == "True"


def test_requests_are_shared_by_weight(company: Company, answering: Mapping[str, Backend]) -> None:
    company.server.apply(*routes({"letters-predictor": 9, "letters-canary": 1}))
    eventually(lambda: is_true(company, "Accepted") and is_true(company, "ResolvedRefs"), company.log)
    with company.client() as client:
        eventually(lambda: client.get("/v2/models/letters/ready").status_code == 200, company.log)
        for backend in answering.values():
            backend.requests = 0
        for _ in range(200):
            assert client.post("/v2/models/letters/infer", content=b"{}").status_code == 200
        shares = {name: backend.requests for name, backend in answering.items()}
        assert sum(shares.values()) == 200
        assert abs(shares["letters-canary"] - 20) <= 2, shares
        assert client.get("/v2/models/letters2").status_code == 404, "another model's path"
        assert client.get("/v2/models/letters", headers={"host": "other.example.com"}).status_code == 404
        company.server.apply(*routes({"letters-predictor": 0, "letters-canary": 1}))

        def moved() -> bool:
            before = answering["letters-predictor"].requests
            answers = {client.get("/v2/models/letters").status_code for _ in range(20)}
            return answers == {200} and answering["letters-predictor"].requests == before

        eventually(moved, company.log)


def test_a_namespace_that_the_gateway_does_not_let_in_is_told_so(company: Company) -> None:
    company.server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "alone"}})
    company.server.apply(*routes({"letters-predictor": 1}, "alone"))
    eventually(lambda: "Accepted" in company.route("letters", "alone"), company.log)
    assert company.route("letters", "alone")["Accepted"]["reason"] == "NotAllowedByListeners"


def ingress(services: Mapping[str, int], host: str, pair: Mapping[str, str]) -> Recording:
    return declared(
        lambda: IngressRoutes(
            "it",
            {
                "namespace": OTHER,
                "ingress_class": "companys",
                "hostname": host,
                "tls": {"certificate": pair["certificate"], "key": pair["key"]},
                "clients": [companys_gateway.NAMESPACE],
                "routes": [{"name": "letters", "path_prefix": "/v2/models/letters", "services": services}],
            },
        )
    )


def test_an_ingress_serves_with_the_environment_s_certificate(
    company: Company, answering: Mapping[str, Backend]
) -> None:
    host = "letters.example.com"
    certificate, pair = companys_gateway.certified(host)
    program = ingress({"letters-predictor": 1}, host, pair)
    (secret,) = program.of_kind("Secret").values()
    files = {"tls.crt": pair["certificate"], "tls.key": pair["key"]}
    company.server.apply({**secret, "stringData": files}, *program.of_kind("Ingress").values())
    before = answering["letters-predictor"].requests

    def serves() -> bool:
        try:
            with company.client(host, certificate) as client:
                return client.get("/v2/models/letters/ready").status_code == 200
        except httpx.ConnectError:
            return False

    eventually(serves, company.log)
    assert answering["letters-predictor"].requests > before


def test_an_ingress_can_t_share_requests() -> None:
    _, pair = companys_gateway.certified(HOST)
    with pytest.raises(ValueError, match="letters: an Ingress sends all requests to one Service, and 2 are to share"):
        ingress({"letters-predictor": 9, "letters-canary": 1}, HOST, pair)
