"""What an update would do, read from the engine's own events."""

import json
from typing import Any

from delivery.clients.plan import Plan, parse, summary

_URN = "urn:pulumi:test::stellwerk::"
STACK = f"{_URN}pulumi:pulumi:Stack::stellwerk-test"
COMPONENT = "stellwerk:index:InferenceService"
SERVICE = "kubernetes:serving.kserve.io/v1beta1:InferenceService"


def event(op: str, kind: str, name: str, parent: str = STACK, **more: Any) -> dict[str, Any]:
    """As `--event-log` writes it, without what nobody reads here."""
    chain = f"{parent.split('::')[2]}$" if parent not in ("", STACK) else ""
    urn = f"{_URN}{chain}{kind}::{name}"
    state = {"urn": urn, "type": kind, "parent": parent, "id": "", "inputs": {}, **more}
    old = None if op == "create" else {**state, "id": f"x/{name}" if kind.startswith("kubernetes:") else ""}
    new = None if op == "delete" else state
    metadata = {"op": op, "urn": urn, "type": kind, "old": old, "new": new, "diffs": more.get("diffs"), "provider": ""}
    return {"sequence": 1, "timestamp": 1, "resourcePreEvent": {"metadata": metadata}}


def plan(*events: dict[str, Any]) -> Plan:
    others = [{"preludeEvent": {"config": {}}}, {"summaryEvent": {"resourceChanges": {}}}]
    return parse("\n".join(map(json.dumps, [*others, *events])))


def component(name: str, op: str = "same") -> dict[str, Any]:
    return event(op, COMPONENT, name)


def urn(name: str) -> str:
    return f"{_URN}{COMPONENT}::{name}"


def test_a_model_s_resources_are_what_descends_from_its_component() -> None:
    planned = plan(
        event("same", "pulumi:pulumi:Stack", "stellwerk-test", ""),
        component("digits"),
        event("update", SERVICE, "digits", urn("digits"), inputs={"release": "v2"}),
        event("create", "kubernetes:core/v1:Secret", "digits-secret", urn("digits")),
        event("update", "kubernetes:apps/v1:DeploymentPatch", "labels", f"{_URN}{COMPONENT}${SERVICE}::digits"),
    )
    assert [step.name for step in planned.changes] == ["digits", "digits-secret", "labels"]
    assert planned.others("digits") == []
    assert {step.name for step in planned.of("digits") if step.exists} == {"digits", "labels"}


def test_what_belongs_to_no_or_another_model_is_named_once_with_what_happens_to_it() -> None:
    config = "kubernetes:core/v1:ConfigMap"
    planned = plan(
        component("digits"),
        event("update", SERVICE, "digits", urn("digits")),
        component("letters", "delete"),
        event("delete", SERVICE, "letters", urn("letters")),
        *(event(op, config, "settings") for op in ("delete-replaced", "replace", "create-replacement")),
        event("replace", "pulumi:providers:kubernetes", "cluster"),
        event("same", config, "other"),
        event("read", config, "looked-at"),
        # Named like the model, but no part of it.
        event("update", config, "digits"),
    )
    assert summary(planned.others("digits")) == (
        "InferenceService letters (delete), InferenceService letters (delete), ConfigMap settings (replace), "
        "kubernetes cluster (replace), ConfigMap digits (update)"
    )


def test_the_engine_s_own_entries_are_no_change() -> None:
    planned = plan(
        event("create", "pulumi:pulumi:Stack", "stellwerk-test", ""),
        event("create", "pulumi:providers:pulumi", "default"),
    )
    assert planned.others("digits") == []
    assert planned.digest == plan().digest


def test_many_other_changes_are_counted() -> None:
    planned = plan(*(event("create", "kubernetes:core/v1:ConfigMap", f"c{number}") for number in range(20)))
    said = summary(planned.others("digits"))
    assert said.endswith("ConfigMap c7 (create) and 12 more")


def test_equal_plans_have_equal_digests_in_any_order() -> None:
    first = event("update", SERVICE, "digits", urn("digits"), inputs={"release": "v2"})
    second = event("create", "kubernetes:core/v1:Secret", "digits-secret", urn("digits"))
    unchanged = event("same", "kubernetes:core/v1:ConfigMap", "settings")
    assert plan(first, second).digest == plan(unchanged, second, first).digest


def test_another_value_operation_or_resource_is_another_plan() -> None:
    def digest(op: str = "update", name: str = "digits", release: str = "v2") -> str:
        return plan(event(op, SERVICE, name, urn("digits"), inputs={"release": release})).digest

    assert len({digest(), digest(op="create"), digest(name="letters"), digest(release="v3"), plan().digest}) == 5


def test_no_value_can_be_read_from_a_plan() -> None:
    planned = plan(event("update", SERVICE, "digits", urn("digits"), inputs={"password": "very-secret"}))
    assert "very-secret" not in repr(planned)
