"""Credentials: what is absent is named, what is present is never shown."""

import json
from typing import Any

import pytest

from infra.composition.credentials import read
from infra.contract.problems import ConfigError
from infra.services.object_store import OwnObjectStoreKeys
from infra.services.registry import RegistryLogins
from infra.values import from_file
from tests.support.documents import TEAM

PAIR = {"certificate": "-----BEGIN CERTIFICATE-----", "key": "very-secret"}
READER = {"accessKey": "very-secret", "secretKey": "very-secret"}
USER = {"password": "very-secret", "hash": "very-secret"}


def dev() -> dict[str, Any]:
    return {
        "caKey": "very-secret",
        "tls": {name: PAIR for name in ("gateway", "objectStore", "registry", "logStore", "kserveWebhook")},
        "objectStore": {"accessKey": "very-secret", "secretKey": "very-secret", "reader": READER},
        "registry": {
            "username": "stellwerk", "password": "very-secret", "htpasswd": "very-secret",
            "push": {"username": "builder", "password": "very-secret", "htpasswd": "very-secret"},
        },
        "tracking": {"postgresPassword": "very-secret"},
        "logStore": {"users": {"shipper": USER, "reader": USER, "elastic": USER}},
    }  # fmt: skip


def refusal(environment: str, raw: str | None) -> str:
    with pytest.raises(ConfigError) as raised:
        read(raw, from_file(environment, TEAM).stack, f"stacks/Pulumi.{environment}.yaml")
    return str(raised.value)


def test_dev_and_its_values_are_hidden() -> None:
    credentials = read(json.dumps(dev()), from_file("dev", TEAM).stack, "stacks/Pulumi.dev.yaml")
    assert credentials.get(OwnObjectStoreKeys).reader.access_key.get_secret_value() == "very-secret"
    assert set(credentials.key_pairs) == {"gateway", "objectStore", "registry", "logStore", "kserveWebhook"}
    assert "very-secret" not in repr(credentials)


def test_prod_needs_less() -> None:
    values = dev()
    del values["tracking"], values["logStore"], values["registry"]["htpasswd"]
    values["tls"] = {name: PAIR for name in ("gateway", "objectStore")}
    credentials = read(json.dumps(values), from_file("prod", TEAM).stack, "stacks/Pulumi.prod.yaml")
    assert set(credentials.parts) == {OwnObjectStoreKeys, RegistryLogins}


def test_absent_credentials_name_the_command() -> None:
    message = refusal("test", None)
    assert "stacks/Pulumi.test.yaml: stellwerk:credentials" in message
    assert "run `stellwerk init test`" in message


@pytest.mark.parametrize(
    ("section", "key", "named"),
    [
        ("registry", "htpasswd", "registry.htpasswd"),
        ("registry", "push", "registry.push"),
        ("tls", "objectStore", "tls.objectStore"),
        ("tls", "kserveWebhook", "tls.kserveWebhook"),
        ("tls", "gateway", "tls.gateway"),
        ("objectStore", "secretKey", "objectStore.secretKey"),
        ("objectStore", "reader", "objectStore.reader"),
    ],
)
def test_an_absent_key_is_named_and_no_value_shown(section: str, key: str, named: str) -> None:
    values = dev()
    del values[section][key]
    message = refusal("dev", json.dumps(values))
    assert named in message
    assert "very-secret" not in message


def test_text_that_is_not_json_is_not_shown() -> None:
    message = refusal("dev", "very-secret")
    assert "(the whole text)" in message
    assert "very-secret" not in message
