"""The logins that `stellwerk init` makes, takes from another environment, or takes from variables."""

from typing import Any

import bcrypt
import pytest

from delivery.operations.init import init
from infra.composition import credentials
from infra.contract.errors import StellwerkError
from infra.services.object_store import ObjectStoreKeys
from tests.delivery.test_init import made, secrets
from tests.support.checkout import Checkout
from tests.support.documents import ENVIRONMENTS
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Words

__all__ = ["made"]
EXTERNAL_STORE = {"mode": "external", "endpoint": "https://s3.example.com", "bucket": "models"}
EXTERNAL_REGISTRY = {"mode": "external", "address": "registry.example.com/ml"}


def test_test_and_prod_take_the_login_that_dev_made_for_them(made: FakeEngine) -> None:
    logins = secrets(made, "dev")["registry"]["logins"]
    assert set(logins) == set(ENVIRONMENTS)
    assert len(set(logins.values())) == len(ENVIRONMENTS), "a leaked login could not be changed alone"
    for name in ("test", "prod"):
        assert secrets(made, name)["registry"] == {"username": name, "password": logins[name]}


def test_only_the_builder_s_login_may_push_and_only_who_builds_has_it(made: FakeEngine) -> None:
    registry = secrets(made, "dev")["registry"]
    push = registry["push"]
    (line,) = push["htpasswd"].splitlines()
    name, _, hashed = line.partition(":")
    assert name == push["username"]
    assert name not in ENVIRONMENTS
    assert bcrypt.checkpw(push["password"].encode(), hashed.encode())
    assert push["password"] not in registry["logins"].values()
    assert name not in registry["htpasswd"]
    assert all("push" not in secrets(made, other)["registry"] for other in ("test", "prod"))


def test_an_environment_that_builds_pushes_to_dev_s_registry_as_the_builder(
    made: FakeEngine, project: Checkout, bench: Bench, words: Words
) -> None:
    project.edit("test", lambda config: config.update(images={"basePython": {"image": "python:3.11"}}))
    init(bench.session(), "test", words.console)
    assert secrets(made, "test")["registry"]["push"] == secrets(made, "dev")["registry"]["push"]


def test_a_registry_elsewhere_may_have_a_login_of_its_own_for_pushing(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.edit("dev", lambda config: config.update(registry=EXTERNAL_REGISTRY))
    for variable in ("USERNAME", "PASSWORD", "PUSH_USERNAME"):
        monkeypatch.setenv(f"STELLWERK_REGISTRY_{variable}", f"given-{variable}")
    with pytest.raises(StellwerkError, match=r"^STELLWERK_REGISTRY_PUSH_PASSWORD is not set"):
        init(bench.session(), "dev", words.console)
    monkeypatch.setenv("STELLWERK_REGISTRY_PUSH_PASSWORD", "given-PUSH_PASSWORD")
    init(bench.session(), "dev", words.console)
    assert secrets(pulumi, "dev")["registry"] == {
        "username": "given-USERNAME",
        "password": "given-PASSWORD",
        "push": {"username": "given-PUSH_USERNAME", "password": "given-PUSH_PASSWORD"},
    }


def test_the_login_of_a_store_with_data_is_given_by_variables(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.edit(
        "dev", lambda config: config.update(dataStore={"bucket": "lake", "endpoint": "https://s3.example.com"})
    )
    monkeypatch.setenv("AWS_DATA_ACCESS_KEY_ID", "lake")
    with pytest.raises(
        StellwerkError, match=r"^AWS_DATA_SECRET_ACCESS_KEY is not set; it is the login of the store of"
    ):
        init(bench.session(), "dev", words.console)
    monkeypatch.setenv("AWS_DATA_SECRET_ACCESS_KEY", "secret")
    init(bench.session(), "dev", words.console)
    assert secrets(pulumi, "dev")["dataStore"] == {"accessKey": "lake", "secretKey": "secret"}


def test_without_dev_test_says_to_make_dev_first(pulumi: FakeEngine, bench: Bench, words: Words) -> None:
    before = pulumi.checkout.text("test")
    with pytest.raises(StellwerkError) as raised:
        init(bench.session(), "test", words.console)
    assert str(raised.value) == "test: its registry is dev's; run `stellwerk init dev` first"
    assert pulumi.checkout.text("test") == before
    assert pulumi.secrets == {}


def test_what_ships_its_own_lines_has_a_user_of_its_own(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words
) -> None:
    project.edit("dev", lambda config: config["logging"].update(shipping="application"))
    init(bench.session(), "dev", words.console)
    users = secrets(pulumi, "dev")["logStore"]["users"]
    assert set(users) == {"shipper", "reader", "keeper", "elastic", "application"}


def test_logins_of_somebody_elses_log_store_and_kibana_are_given_by_variables(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    kibana = {"url": "https://kibana.example.com", "image": "python:3.11-slim"}
    logging = {"mode": "external", "url": "https://logs.example.com", "shipping": "application", "kibana": kibana}
    project.edit("dev", lambda config: config.update(logging=logging))
    for name in ("LOG_STORE", "LOG_SHIPPER"):
        for part in ("USERNAME", "PASSWORD"):
            monkeypatch.setenv(f"STELLWERK_{name}_{part}", f"given {name} {part}")
    with pytest.raises(StellwerkError, match=r"^STELLWERK_KIBANA_USERNAME is not set; it is the login of Kibana at"):
        init(bench.session(), "dev", words.console)
    monkeypatch.setenv("STELLWERK_KIBANA_USERNAME", "viewer")
    monkeypatch.setenv("STELLWERK_KIBANA_PASSWORD", "word")
    init(bench.session(), "dev", words.console)
    made = secrets(pulumi, "dev")
    assert made["logStore"]["shipper"]["username"] == "given LOG_SHIPPER USERNAME"
    assert made["kibana"] == {"username": "viewer", "password": "word"}


def test_htpasswd_and_user_hashes_belong_to_their_passwords(made: FakeEngine) -> None:
    made_credentials = secrets(made, "dev")
    lines = dict(line.split(":", 1) for line in made_credentials["registry"]["htpasswd"].splitlines())
    assert set(lines) == set(ENVIRONMENTS)
    for name, login in made_credentials["registry"]["logins"].items():
        assert bcrypt.checkpw(login.encode(), lines[name].encode())
        assert not bcrypt.checkpw(b"another", lines[name].encode())
    users = made_credentials["logStore"]["users"]
    assert set(users) == {"shipper", "reader", "keeper", "elastic"}
    for user in users.values():
        assert bcrypt.checkpw(user["password"].encode(), user["hash"].encode())
    assert len({user["password"] for user in users.values()}) == len(users)


@pytest.mark.parametrize(
    ("key", "value", "variables"),
    [
        ("objectStore", EXTERNAL_STORE, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]),
        ("registry", EXTERNAL_REGISTRY, ["STELLWERK_REGISTRY_USERNAME", "STELLWERK_REGISTRY_PASSWORD"]),
    ],
)
def test_an_absent_external_login_names_its_variable(
    key: str, value: Any, variables: list[str], project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    project.edit("dev", lambda config: config.update({key: value}))
    before = project.text("dev")
    for variable in variables:
        with pytest.raises(StellwerkError, match=rf"^{variable} is not set; it is the login of [^\n]*$"):
            init(bench.session(), "dev", words.console)
        assert project.text("dev") == before
        assert pulumi.secrets == {}
        monkeypatch.setenv(variable, f"given-{variable}")
    init(bench.session(), "dev", words.console)
    assert {f"given-{variable}" for variable in variables} <= set(secrets(pulumi, "dev")[key].values())


def external_keys(pulumi: FakeEngine) -> ObjectStoreKeys:
    return credentials.read(pulumi.secrets["dev"], pulumi.checkout.project().stack("dev"), "dev").get(ObjectStoreKeys)


def test_an_external_store_may_have_a_readers_key(
    project: Checkout, pulumi: FakeEngine, bench: Bench, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.edit("dev", lambda config: config.update(objectStore=EXTERNAL_STORE))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, f"given-{variable}")
    init(bench.session(), "dev", words.console)
    made_credentials = external_keys(pulumi)
    assert made_credentials.for_models == made_credentials, "one login for all"
    monkeypatch.setenv("AWS_READER_ACCESS_KEY_ID", "reads")
    with pytest.raises(StellwerkError, match=r"^AWS_READER_SECRET_ACCESS_KEY is not set; it is the login of those who"):
        init(bench.session(), "dev", words.console)
    monkeypatch.setenv("AWS_READER_SECRET_ACCESS_KEY", "only")
    init(bench.session(), "dev", words.console)
    assert external_keys(pulumi).for_models.access_key.get_secret_value() == "reads"
    assert secrets(pulumi, "dev")["objectStore"]["accessKey"] == "given-AWS_ACCESS_KEY_ID"
