"""`stellwerk init`: what is absent is made, what is there stays."""

import json
import ssl
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from cryptography import x509

from delivery.errors import DeliveryError
from delivery.operations import authority
from delivery.operations.init import init
from delivery.project import Project
from infra import services as own
from infra import values
from infra.composition import credentials
from infra.discovery import discover
from infra.services.logging.users import LogStoreKeys
from infra.services.registry import RegistryLogins
from infra.targets.variables import REGISTRY_CA
from tests.delivery.test_authority import handshake
from tests.support import made_up
from tests.support.checkout import Checkout
from tests.support.documents import ENVIRONMENTS
from tests.support.engine import FakeEngine
from tests.support.made_up.feature_store import FeatureStoreKeys
from tests.support.session import Bench, FakeSession, Words


def secrets(pulumi: FakeEngine, environment: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(pulumi.secrets[environment])
    return content


def forget(pulumi: FakeEngine, environment: str, *path: str) -> Any:
    """Takes a value out of the credentials, and returns it."""
    content = secrets(pulumi, environment)
    node = content
    for step in path[:-1]:
        node = node[step]
    value = node.pop(path[-1])
    pulumi.secrets[environment] = json.dumps(content)
    return value


@pytest.fixture
def made(pulumi: FakeEngine, bench: Bench, words: Words) -> FakeEngine:
    """All environments, initialised."""
    for name in ENVIRONMENTS:
        init(bench.session(), name, words.console)
    return pulumi


def test_the_program_accepts_what_init_makes(made: FakeEngine) -> None:
    assert made.known == set(ENVIRONMENTS)
    for name in ENVIRONMENTS:
        stack = made.checkout.project().stack(name)
        read = credentials.read(made.secrets[name], stack, values.file_name(name))
        (logins,) = (part for part in read.parts.values() if isinstance(part, RegistryLogins))
        assert logins.username == name
        assert (LogStoreKeys in read.parts) == (name == "dev")
        assert "PRIVATE KEY" not in made.checkout.file(name).read_text()


def test_a_second_run_changes_nothing(made: FakeEngine, bench: Bench, words: Words) -> None:
    files, before = [made.checkout.text(name) for name in ENVIRONMENTS], dict(made.secrets)
    made.commands.clear()
    for name in ENVIRONMENTS:
        init(bench.session(), name, words.console)
        assert f"{name}: credentials are complete" in words
    assert [made.checkout.text(name) for name in ENVIRONMENTS] == files
    assert made.secrets == before
    assert [command for command in made.commands if command[1] in ("init", "set")] == []


@pytest.mark.parametrize(
    "paths",
    [
        [("tracking",), ("objectStore", "secretKey"), ("tls", "gateway")],
        [("registry", "password"), ("registry", "htpasswd"), ("registry", "push"), ("logStore", "users", "reader")],
    ],
)
def test_only_what_is_absent_is_made(
    paths: list[tuple[str, ...]], made: FakeEngine, bench: Bench, words: Words
) -> None:
    certificate = made.checkout.project().environment("dev").ca_certificate
    for path in paths:
        forget(made, "dev", *path)
    rest = secrets(made, "dev")
    init(bench.session(), "dev", words.console)
    assert made.checkout.project().environment("dev").ca_certificate == certificate
    for path in paths:
        forget(made, "dev", *path)
    assert secrets(made, "dev") == rest


def test_a_certificate_made_later_is_signed_by_the_same_authority(
    made: FakeEngine, bench: Bench, words: Words, tmp_path: Path
) -> None:
    forget(made, "dev", "tls", "logStore")
    init(bench.session(), "dev", words.console)
    trusted = made.checkout.project().environment("dev").ca_certificate
    assert trusted
    pair = secrets(made, "dev")["tls"]["logStore"]
    assert handshake(pair, trusted, "log-store.dev-platform.svc.cluster.local", tmp_path) == b"hello"


def test_a_lost_authority_key_makes_authority_and_certificates_anew(
    made: FakeEngine, bench: Bench, words: Words, tmp_path: Path
) -> None:
    before, login = made.checkout.project().environment("test").ca_certificate, secrets(made, "test")["objectStore"]
    assert before
    forget(made, "test", "caKey")
    init(bench.session(), "test", words.console)
    after = made.checkout.project().environment("test").ca_certificate
    assert after
    assert after != before
    pair = secrets(made, "test")["tls"]["gateway"]
    assert handshake(pair, after, "gateway.test-platform.svc", tmp_path) == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(pair, before, "gateway.test-platform.svc", tmp_path)
    assert secrets(made, "test")["objectStore"] == login


def test_an_interruption_between_certificate_and_credentials_is_mended(
    made: FakeEngine, bench: Bench, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.checkout.edit("test", lambda config: config.pop("caCertificate"))
    made.full = True
    with pytest.raises(DeliveryError, match="no space left"):
        init(bench.session(), "test", words.console)
    made.full = False
    init(bench.session(), "test", words.console)
    trusted = made.checkout.project().environment("test").ca_certificate
    assert trusted
    assert handshake(secrets(made, "test")["tls"]["gateway"], trusted, "gateway", tmp_path) == b"hello"


def test_certificates_name_service_and_node_address(made: FakeEngine) -> None:
    services = {
        "gateway": "gateway.{}-platform",
        "objectStore": "object-store.{}-platform",
        "registry": "registry.{}-platform",
        "logStore": "log-store.{}-platform",
        "kserveWebhook": "kserve-webhook-server-service.{}-kserve",
    }
    for environment in ENVIRONMENTS:
        address = made.checkout.project().environment(environment).cluster.address
        pairs = secrets(made, environment)["tls"]
        assert set(pairs) == (set(services) if environment == "dev" else {"gateway", "objectStore"})
        for name, pair in pairs.items():
            certificate = x509.load_pem_x509_certificate(pair["certificate"].encode())
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert f"{services[name].format(environment)}.svc" in names.get_values_for_type(x509.DNSName)
            assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == [address]


def test_credentials_of_an_older_version_are_completed(
    made: FakeEngine, bench: Bench, words: Words, tmp_path: Path
) -> None:
    """They know no builder, and their webhook's certificate names the namespace in which KServe was."""
    forget(made, "dev", "registry", "push")
    content = secrets(made, "dev")
    certificate = made.checkout.project().environment("dev").ca_certificate
    assert certificate
    content["tls"]["kserveWebhook"] = authority.sign(
        certificate, content["caKey"], ["kserve-webhook-server-service.dev-platform.svc"]
    )
    made.secrets["dev"] = json.dumps(content)
    init(bench.session(), "dev", words.console)
    assert secrets(made, "dev")["registry"]["push"]["username"] == "builder"
    pair = secrets(made, "dev")["tls"]["kserveWebhook"]
    assert handshake(pair, certificate, "kserve-webhook-server-service.dev-kserve.svc", tmp_path) == b"hello"
    assert secrets(made, "dev")["registry"]["logins"] == content["registry"]["logins"]


def test_the_local_node_trusts_the_registry_of_the_stack_that_runs_it(
    pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    trust = Path(pulumi.variables[REGISTRY_CA])
    init(bench.session(), "dev", words.console)
    assert not trust.exists(), "there is no local node"
    trust.parent.mkdir(parents=True)
    init(bench.session(), "dev", words.console)
    assert trust.read_text() == pulumi.checkout.project().environment("dev").ca_certificate
    init(bench.session(), "test", words.console)
    assert trust.read_text() == pulumi.checkout.project().environment("dev").ca_certificate


def test_the_rest_of_the_stack_file_stays(made: FakeEngine, project: Checkout) -> None:
    lines = set(project.file("dev").read_text().splitlines())
    project.edit("dev", lambda config: [config.pop(key) for key in ("caCertificate", "credentials")])
    assert set(project.file("dev").read_text().splitlines()) <= lines
    assert "credentials" in project.config("test")


def test_a_stack_that_is_new_gets_credentials_of_its_own(made: FakeEngine, bench: Bench, words: Words) -> None:
    """After `cluster down` the passphrase is gone, the encrypted credentials still stand in the file."""
    file = made.checkout.file("test")
    file.write_text(file.read_text() + "encryptionsalt: v1:of-another-passphrase\n")
    before = secrets(made, "test")
    made.known.discard("test")
    init(bench.session(), "test", words.console)
    assert secrets(made, "test")["caKey"] != before["caKey"]
    assert "making new ones" in words
    assert "of-another-passphrase" not in file.read_text()
    assert "test" in made.known


def test_credentials_of_an_older_command_get_the_readers_key(
    made: FakeEngine, bench: Bench, words: Words, tmp_path: Path
) -> None:
    before = {name: secrets(made, name) for name in ENVIRONMENTS}
    for name in ENVIRONMENTS:
        reader = forget(made, name, "objectStore", "reader")
        assert set(reader) == {"accessKey", "secretKey"}
        assert reader["secretKey"] != before[name]["objectStore"]["secretKey"]
        content = secrets(made, name)
        loaded = made.checkout.project().environment(name)
        # As it was signed: for the writer's name alone.
        pair = content["tls"]["objectStore"]
        assert loaded.ca_certificate
        content["tls"]["objectStore"] = authority.sign(
            loaded.ca_certificate, content["caKey"], ["object-store", f"object-store.{name}-platform.svc"]
        )
        made.secrets[name] = json.dumps(content)
        init(bench.session(), name, words.console)
        after = secrets(made, name)
        assert {key: after["objectStore"][key] for key in ("accessKey", "secretKey")} == {
            key: before[name]["objectStore"][key] for key in ("accessKey", "secretKey")
        }
        assert set(after["objectStore"]["reader"]) == {"accessKey", "secretKey"}
        assert after["tls"]["objectStore"] != pair
        host = f"object-store-reader.{name}-platform.svc.cluster.local"
        assert handshake(after["tls"]["objectStore"], loaded.ca_certificate, host, tmp_path) == b"hello"


def test_one_more_service_gets_its_credentials_and_certificate(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    services = discover(own, made_up)
    for name in ENVIRONMENTS:
        project.edit(name, lambda config: config.update(featureStore={"nodePort": 30990}))
    opened = FakeSession(Project(project.root, services=services), pulumi)
    init(opened, "dev", words.console)
    stack = values.from_file("dev", project.root, services=services).stack
    made = credentials.read(pulumi.secrets["dev"], stack, "dev")
    assert len(made.get(FeatureStoreKeys).password.get_secret_value()) > 20
    certificate = x509.load_pem_x509_certificate(made.key_pairs["featureStore"].certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "feature-store.dev-platform.svc" in names.get_values_for_type(x509.DNSName)


def test_tensorboard_gets_a_login_once_it_is_switched_on(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    init(bench.session(), "dev", words.console)
    assert "tensorboard" not in secrets(pulumi, "dev")
    project.edit("dev", lambda config: config["tracking"].update(tensorboard=True))
    init(bench.session(), "dev", words.console)
    login = secrets(pulumi, "dev")["tensorboard"]
    assert bcrypt.checkpw(login["password"].encode(), login["hash"].encode())
