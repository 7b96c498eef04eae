"""The registry behind its proxy, as real processes: everybody with a login pulls, the builder alone pushes."""

import ssl
from collections.abc import Iterator
from hashlib import sha256

import bcrypt
import httpx
import pytest

from components.kit import ports
from components.registry.image_registry import files
from delivery.operations import authority
from tests.support.tools import eventually, free_port, running, tool

pytestmark = pytest.mark.tools
PULL, PUSH = ("prod", "pull-password"), ("builder", "push-password")
LAYER = b"layer" * 1000
DIGEST = f"sha256:{sha256(LAYER).hexdigest()}"


def line(name: str, password: str) -> str:
    return f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()}\n"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client without a login that trusts the registry's certificate."""
    folder = tmp_path_factory.mktemp("registry")
    port, backend = free_port(), free_port()
    certificate, key = authority.make_authority("test")
    pair = authority.sign(certificate, key, ["127.0.0.1"])
    secrets = {
        "tls.crt": pair["certificate"], "tls.key": pair["key"],
        "readers": line(*PULL) + line(*PUSH), "writers": line(*PUSH),
    }  # fmt: skip
    (folder / "routes").mkdir()
    places = {
        "/etc/registry": str(folder),
        "/etc/proxy": str(folder),
        "/var/lib/registry": f"{folder}/data",
        f"127.0.0.1:{ports.REGISTRY_BACKEND}": f"127.0.0.1:{backend}",
        f'":{ports.REGISTRY}"': f'"127.0.0.1:{port}"',
    }
    for name, text in {**files(), **secrets}.items():
        changed = text
        for old, new in places.items():
            changed = changed.replace(old, new)
        (folder / ("routes" if name == "routes.yaml" else ".") / name).write_text(changed)
    trust = ssl.create_default_context(cadata=certificate)
    client = httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, trust_env=False, timeout=60)

    def answers() -> bool:
        try:
            return client.get("/").status_code == 200
        except httpx.TransportError:
            return False

    with (
        running([tool("registry"), "serve", folder / "config.yml"], folder / "registry.log", {}),
        running([tool("traefik"), f"--configFile={folder}/traefik.yaml"], folder / "proxy.log", {}),
        client,
    ):
        eventually(answers, folder / "proxy.log")
        yield client


def upload(client: httpx.Client, login: tuple[str, str]) -> httpx.Response:
    """A layer in two chunks, as clients push it; the answer to the first request that is refused, or the last."""
    answer = client.post("/v2/model/blobs/uploads/", auth=login)
    for method, content in (("PATCH", LAYER[:700]), ("PATCH", LAYER[700:]), ("PUT", b"")):
        if not answer.is_success:
            return answer
        place = answer.headers["location"]
        assert place.startswith("/v2/model/blobs/uploads/"), "a client would follow it past the proxy"
        target = f"{place}&digest={DIGEST}" if method == "PUT" else place
        answer = client.request(method, target, content=content, auth=login)
    return answer


def test_the_builder_pushes_and_every_login_pulls(registry: httpx.Client) -> None:
    assert upload(registry, PUSH).status_code == 201
    for login in (PULL, PUSH):
        assert registry.get(f"/v2/model/blobs/{DIGEST}", auth=login).content == LAYER
        assert registry.head(f"/v2/model/blobs/{DIGEST}", auth=login).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/model/blobs/uploads/"),
        ("PUT", "/v2/model/manifests/1"),
        ("PATCH", "/v2/model/blobs/uploads/1"),
        ("DELETE", "/v2/model/manifests/1"),
        ("DELETE", f"/v2/model/blobs/{DIGEST}"),
        ("POST", "/v2/../v2/model/blobs/uploads/"),
    ],
)
def test_a_login_that_pulls_neither_pushes_nor_deletes(method: str, path: str, registry: httpx.Client) -> None:
    headers = {"X-HTTP-Method-Override": "GET", "X-Forwarded-Method": "GET"}
    assert registry.request(method, path, auth=PULL, headers=headers).status_code == 401
    assert registry.request("GET", "/v2/", auth=PULL, headers={"X-HTTP-Method-Override": method}).status_code == 200


@pytest.mark.parametrize("login", [None, ("prod", "wrong"), ("nobody", "pull-password"), ("", "")])
def test_without_a_login_there_is_nothing(login: tuple[str, str] | None, registry: httpx.Client) -> None:
    answer = registry.get("/v2/", auth=login)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="stellwerk"', "clients ask for the login by this"
    assert registry.post("/v2/model/blobs/uploads/", auth=login).status_code == 401
    assert registry.get("/v2/_catalog", auth=login).status_code == 401
    assert registry.get("/metrics", auth=login).status_code == 404
