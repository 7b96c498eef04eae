"""`stellwerk access`: what the owner of a cluster applies, so that somebody who is no administrator runs it there."""

import json
from typing import Any

import pytest

from tests.support.session import Command

VERSION = "rbac.authorization.k8s.io/v1"


def printed(stellwerk: Command, *who: str) -> list[dict[str, Any]]:
    """Return the printed documents."""
    code, out, err = stellwerk("access", "--env", "prod", *who)
    assert (code, err) == (0, "")
    return [json.loads(each) for each in out.split("---\n") if each]


def of(documents: list[dict[str, Any]], kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the documents of a kind by namespace and name."""
    chosen = [each for each in documents if each["kind"] == kind]
    return {(each["metadata"].get("namespace", ""), each["metadata"]["name"]): each for each in chosen}


def test_what_is_printed_gives_rights_in_the_environment_s_namespaces_alone(stellwerk: Command) -> None:
    made = printed(stellwerk, "--user", "alice")
    namespaces = [name for _, name in of(made, "Namespace")]
    assert "prod-serving" in namespaces and all(name.startswith("prod-") for name in namespaces)
    for namespace in of(made, "Namespace").values():
        assert namespace["metadata"]["labels"].items() >= {
            "stellwerk.dev/project": "stellwerk", "stellwerk.dev/stack": "prod",
        }.items()  # fmt: skip
    roles = {name: role["rules"] for (_, name), role in of(made, "ClusterRole").items()}
    assert set(roles) == {"stellwerk:prod", "stellwerk:prod:namespaces"}
    # In the whole cluster: to see namespaces, and to change its own by name.
    see, own = roles["stellwerk:prod:namespaces"]
    assert see == {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}
    assert own["resourceNames"] == namespaces and "create" not in own["verbs"]
    alice = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}]
    (everywhere,) = of(made, "ClusterRoleBinding").values()
    assert (everywhere["roleRef"]["name"], everywhere["subjects"]) == ("stellwerk:prod:namespaces", alice)
    inside = of(made, "RoleBinding")
    assert [namespace for namespace, _ in inside] == namespaces
    assert all(each["roleRef"]["name"] == "stellwerk:prod" and each["subjects"] == alice for each in inside.values())
    assert {each["apiVersion"] for each in made if "Role" in each["kind"]} == {VERSION}


def test_no_rule_is_about_everything(stellwerk: Command) -> None:
    roles = of(printed(stellwerk, "--group", "ops"), "ClusterRole")
    rules = [rule for role in roles.values() for rule in role["rules"]]
    assert not [rule for rule in rules if "*" in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}]
    assert not [rule for rule in rules if {"escalate", "impersonate"} & set(rule["verbs"])]
    (bind,) = [rule for rule in rules if "bind" in rule["verbs"]]
    assert (bind["resources"], bind["resourceNames"]) == (["roles"], ["developers", "operators", "registry-login"])
    assert not [rule for rule in rules if {"pods/exec", "serviceaccounts/token"} & set(rule["resources"])]


def test_a_service_account_is_named_with_its_namespace(stellwerk: Command) -> None:
    (binding,) = of(printed(stellwerk, "--service-account", "ci/runner"), "ClusterRoleBinding").values()
    assert binding["subjects"] == [{"kind": "ServiceAccount", "namespace": "ci", "name": "runner"}]
    code, _, err = stellwerk("access", "--env", "prod", "--service-account", "runner")
    assert code == 1 and "<namespace>/<name>" in err


@pytest.mark.parametrize("who", [(), ("--user", "alice", "--group", "ops")])
def test_exactly_one_is_given_the_rights(who: tuple[str, ...], stellwerk: Command) -> None:
    code, _, err = stellwerk("access", "--env", "prod", *who)
    assert code == 1 and "exactly one of --user, --group and --service-account" in err


def test_the_owner_of_a_cluster_takes_an_administrator(stellwerk: Command) -> None:
    code, out, err = stellwerk("access", "--env", "dev", "--user", "alice")
    assert (code, out) == (1, "") and "cluster.shared is false" in err
