"""What somebody has added is read from managed fields, as the API server writes them; controllers' are left out."""

from typing import Any

import pytest

from delivery.clients.managed import extensions

Fields = dict[str, Any]
OWN = "stellwerk/stellwerk/prod"
LABELS: Fields = {"f:labels": {"f:stellwerk.dev/stack": {}}}


def entry(manager: str, fields: Fields, **more: str) -> Fields:
    operation = "Apply" if manager == OWN else "Update"
    return {
        "manager": manager, "operation": operation, "apiVersion": "v1", "time": "2026-09-21T14:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": fields, **more,
    }  # fmt: skip


def thing(kind: str, content: Fields, *entries: Fields) -> Fields:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", "managedFields": [*entries]}, **content}


def added(item: Fields, declared: Fields) -> list[str]:
    return [str(field) for field in extensions(item, declared)]


RULE: Fields = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
# A list without keys is one field: who changes anything in it owns it alone.
ROLE = thing("Role", {"rules": [RULE, {**RULE, "verbs": ["*"]}]}, entry(OWN, {"f:metadata": LABELS}),
             entry("kubectl-edit", {"f:rules": {}}))  # fmt: skip
POLICY = thing(
    "NetworkPolicy",
    {"spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}},
    entry(OWN, {"f:metadata": LABELS, "f:spec": {"f:podSelector": {}, "f:policyTypes": {}}}),
    entry("kubectl-patch", {"f:spec": {"f:ingress": {}}}),
)
WALL = {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
CONFIG = thing("ConfigMap", {"data": {"a": "1", "b.yaml": "2"}}, entry(OWN, {"f:data": {"f:a": {}}}),
               entry("OpenAPI-Generator", {"f:data": {"f:b.yaml": {}}}))  # fmt: skip


def pods(*containers: Fields, **more: Any) -> Fields:
    return {"spec": {"template": {"spec": {"containers": [*containers], **more}}}}


def spec(fields: Fields) -> Fields:
    return {"f:spec": {"f:template": {"f:spec": fields}}}


MAIN: Fields = {"name": "main", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}
PORT = 'k:{"containerPort":80,"protocol":"TCP"}'
OURS = entry(OWN, spec({"f:containers": {'k:{"name":"main"}': {
    ".": {}, "f:name": {}, "f:ports": {PORT: {".": {}, "f:containerPort": {}}},
    "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
}}}))  # fmt: skip
DEFAULTED: Fields = {**MAIN, "terminationMessagePath": "/dev/log", "ports": [{"containerPort": 80, "protocol": "TCP"}]}


def test_an_element_of_a_list_without_keys() -> None:
    assert added(ROLE, {"rules": [RULE]}) == ["rules"]
    # Put back by hand: nobody has more any more.
    assert added({**ROLE, "rules": [RULE]}, {"rules": [RULE]}) == []


def test_a_part_of_what_is_declared() -> None:
    assert added(POLICY, WALL) == ["spec.ingress"]
    narrowed = thing(
        "NetworkPolicy",
        {"spec": {"podSelector": {"matchLabels": {"app": "x"}}}},
        entry("k9s", {"f:spec": {"f:podSelector": {}}}),
    )
    assert added(narrowed, WALL) == ["spec.podSelector"]


def test_a_key_of_a_map() -> None:
    assert added(CONFIG, {"data": {"a": "1"}}) == ['data["b.yaml"]']


def test_a_key_of_a_secret_however_it_is_declared() -> None:
    secret = thing("Secret", {"data": {"a": "MQ==", "b": "Mg==", "c": "Mw=="}}, entry(OWN, {"f:data": {"f:a": {}}}),
                   entry("kubectl-edit", {"f:data": {"f:b": {}, "f:c": {}}}))  # fmt: skip
    assert added(secret, {"data": {"a": "MQ=="}, "stringData": {"b": "1"}}) == ["data.c"]


def test_a_container_an_environment_variable_and_a_toleration() -> None:
    extra = {"name": "extra", "image": "x"}
    variable = {**DEFAULTED, "env": [*MAIN["env"], {"name": "B", "value": "2"}]}
    item = thing(
        "Deployment",
        pods(extra, variable, tolerations=[{"operator": "Exists"}]),
        OURS,
        entry("kubectl-edit", spec({
            "f:containers": {
                'k:{"name":"extra"}': {".": {}, "f:name": {}, "f:image": {}, "f:terminationMessagePath": {}},
                'k:{"name":"main"}': {"f:env": {'k:{"name":"B"}': {".": {}, "f:name": {}, "f:value": {}}}},
            },
            "f:tolerations": {},
        })),
    )  # fmt: skip
    fields = extensions(item, pods(MAIN))
    begin = "spec.template.spec"
    assert list(map(str, fields)) == [
        f"{begin}.containers[extra]", f"{begin}.containers[main].env[B]", f"{begin}.tolerations",
    ]  # fmt: skip
    assert [field.pointer(item) for field in fields] == [
        "/spec/template/spec/containers/0", "/spec/template/spec/containers/1/env/1", "/spec/template/spec/tolerations",
    ]  # fmt: skip


def test_a_changed_value_is_left_to_the_engine() -> None:
    changed = {**DEFAULTED, "env": [{"name": "A", "value": "2"}]}
    fields = {"f:containers": {'k:{"name":"main"}': {"f:env": {'k:{"name":"A"}': {"f:value": {}}}}}}
    ours = entry(OWN, spec({"f:containers": {'k:{"name":"main"}': {".": {}, "f:name": {}}}}))
    assert added(thing("Deployment", pods(changed), ours, entry("kubectl-edit", spec(fields))), pods(MAIN)) == []


@pytest.mark.parametrize(
    "written",
    [
        entry("kube-controller-manager", {"f:spec": {"f:taints": {}, "f:volumeName": {}}}),
        entry("manager", {"f:metadata": {"f:finalizers": {".": {}, 'v:"inferenceservice.finalizers"': {}}}}),
        entry("kubectl-rollout", {"f:spec": {"f:template": {"f:metadata": {"f:annotations": {"f:restartedAt": {}}}}}}),
        entry("kubectl-label", {"f:metadata": {"f:labels": {"f:team": {}}}}),
        entry("cert-manager-cainjector", {"f:webhooks": {'k:{"name":"a"}': {"f:clientConfig": {"f:caBundle": {}}}}}),
        entry("somebody", {"f:spec": {"f:conversion": {"f:webhook": {"f:clientConfig": {"f:caBundle": {}}}}}}),
        entry("kubectl", {"f:spec": {"f:replicas": {}}}, subresource="scale"),
        entry("kwok", {"f:status": {"f:capacity": {}}}, subresource="status"),
        entry("somebody", {"f:status": {"f:phase": {}}}),
        entry("pulumi-kubernetes-1a2b3c4d", {"f:spec": {"f:versions": {}}}),
        entry("stellwerk/stellwerk/dev", {"f:spec": {"f:replicas": {}}}),
    ],
    ids=lambda written: str(written["manager"]),
)
def test_what_controllers_and_the_engine_write_is_no_addition(written: Fields) -> None:
    declared: Fields = {"spec": {"conversion": {"webhook": {"clientConfig": {"url": "x"}}}, "template": {}}}
    assert added(thing("Node", {"spec": {"taints": [{"key": "a"}], **declared["spec"]}}, written), declared) == []


def test_defaults_belong_to_nobody() -> None:
    assert added(thing("Deployment", pods(DEFAULTED, dnsPolicy="ClusterFirst"), OURS), pods(MAIN)) == []
    assert added({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x"}}, {}) == []
