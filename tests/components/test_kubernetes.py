"""What stands for the SDK when a program runs registers what the SDK itself would."""

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pulumi
import pytest
from google.protobuf import json_format
from pulumi._types import input_type_py_to_pulumi_names, is_input_type
from pulumi.runtime.stack import run_pulumi_func

from components.kit import kubernetes
from components.kit.fields import Fields, wire_name
from tests.components.mocks import declared
from tests.program.harness import Recording, apart, shown

GROUPS = ("admissionregistration", "apps", "batch", "core", "meta", "networking", "policy", "rbac", "scheduling")
# The kubelet's own, which nobody declares; the API spells it with a capital letter, alone of all.
REPORTED = {"DaemonEndpointArgs"}


class Requests(Recording):
    """Keeps of each registration what decides which provider gets it, and what of it is never shown."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.seen: dict[str, Any] = {}

    def RegisterResource(self, request: Any) -> Any:
        self.seen[f"{request.type}::{request.name}"] = {
            "inputs": json_format.MessageToDict(request.object),
            "version": request.version,
            "secrets": sorted(request.additionalSecretOutputs),
            "remote": request.remote,
        }
        return super().RegisterResource(request)


def sdk(group: str) -> ModuleType:
    """A group of the SDK."""
    return importlib.import_module(f"pulumi_kubernetes.{group}.v1")


def classes(group: str) -> Iterator[tuple[str, type]]:
    """The classes of a group by name."""
    for name, value in vars(sdk(group)).items():
        if isinstance(value, type):
            yield name, value


@pytest.mark.parametrize("group", GROUPS)
def test_every_field_is_spelled_as_the_sdk_spells_it(group: str) -> None:
    spelled = {
        (name, field): wire
        for name, kind in classes(group)
        if is_input_type(kind) and name not in REPORTED
        for field, wire in input_type_py_to_pulumi_names(kind).items()
    }
    assert spelled
    assert {key: wire_name(key[1]) for key in spelled} == spelled


@pytest.mark.parametrize("group", [name for name in GROUPS if name != "meta"])
def test_every_kind_is_the_sdks(group: str) -> None:
    """With its type, its API version and kind; a patch is of the kind that it patches."""
    kinds = [name for name, kind in classes(group) if issubclass(kind, pulumi.CustomResource)]
    assert kinds
    places = {"SDK": sdk(group), "ours": getattr(kubernetes, group).v1}
    seen = {side: _registered(place, kinds) for side, place in places.items()}
    assert seen["ours"] == seen["SDK"]


def _registered(place: Any, kinds: list[str]) -> dict[str, Any]:
    """What is registered of each kind with nothing but a name."""
    requests = Requests()

    def declare() -> None:
        for kind in kinds:
            getattr(place, kind)(kind.lower(), metadata={"name": "x"}, **_needed(kind))

    _run(requests, declare)
    return requests.seen


def _needed(kind: str) -> dict[str, Any]:
    """What the SDK asks for by its own Python signature, and what it hides."""
    lists = {"items": []} if kind.endswith("List") else {}
    texts = {"data": {"a": "Yg=="}, "string_data": {"b": "c"}}
    needed: dict[str, dict[str, Any]] = {
        "Binding": {"target": {"name": "x"}},
        "ControllerRevision": {"revision": 1},
        "Event": {"involved_object": {"name": "x"}},
        "PriorityClass": {"value": 1},
        "Secret": texts,
        "SecretPatch": texts,
        "RoleBinding": {"role_ref": {"name": "x"}},
        "ClusterRoleBinding": {"role_ref": {"name": "x"}},
    }
    return lists | needed.get(kind, {})


def _run(requests: Requests, declare: Any) -> None:
    def program(loop: Any) -> None:
        pulumi.runtime.set_mocks(requests.mocks, "stellwerk", "dev", preview=False, monitor=requests)
        pulumi.runtime.settings.SETTINGS.callbacks = requests
        loop.run_until_complete(run_pulumi_func(lambda: declare() and None))

    apart(program)


def test_a_group_of_files_and_a_provider_are_the_sdks() -> None:
    import pulumi_kubernetes

    seen = []
    for place in (pulumi_kubernetes, kubernetes):
        requests = Requests()

        def declare(place: Any = place) -> None:
            provider = place.Provider("cluster", context="x", kubeconfig="", enable_config_map_mutable=True)
            opts = pulumi.ResourceOptions(provider=provider)
            place.yaml.v2.ConfigGroup("group", files=["a.yaml"], opts=opts)
            custom = {"api_version": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": {"a_b": 1}}
            place.apiextensions.CustomResource("thing", **custom, opts=opts)

        _run(requests, declare)
        seen.append({key: given for key, given in requests.seen.items() if "Stack" not in key})
    assert seen[0] == seen[1] and len(seen[0]) == 3


def test_a_secret_is_never_shown() -> None:
    recording = declared(
        lambda: kubernetes.core.v1.Secret("x", metadata={"name": "x"}, string_data={"password": "known"})
    )
    assert "known" not in str(shown(recording.inputs["kubernetes:core/v1:Secret::x"]))


def test_fields_are_attributes() -> None:
    pod = Fields(service_account_name="x", automount_service_account_token=True, volumes=None)
    assert pod == {"serviceAccountName": "x", "automountServiceAccountToken": True}
    pod.automount_service_account_token = None
    pod.host_ip = "::1"
    assert pod == {"serviceAccountName": "x", "hostIP": "::1"}
    assert pod.service_account_name == "x" and pod.volumes is None
