"""How components reach the object store: with static keys or an identity, an authority of one's own or public ones."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from components.kit.access import StoreAccessArgs
from components.kit.store_access import secret_data
from components.serving.inference_service import InferenceService
from components.tracking.tracking_server import TrackingServer
from components.training.training_pipeline import TrainingPipeline
from tests.components.declarations import ROLE, cloud, inference_args, static, tracking_args, training_args
from tests.components.mocks import declared
from tests.program.harness import SENTINEL, Recording, leaks

COMPONENTS = ("inference", "training", "tracking")
ACCOUNTS = {"inference": "digits-predictor", "training": "train-digits", "tracking": "tracking"}


def component(kind: str, store: Callable[[], StoreAccessArgs]) -> Recording:
    """What the component registers with this access to its store."""
    declare: dict[str, Callable[[], object]] = {
        "inference": lambda: InferenceService("it", inference_args(store())),
        "training": lambda: TrainingPipeline("it", training_args(store())),
        "tracking": lambda: TrackingServer("it", tracking_args(store())),
    }
    return declared(declare[kind])


def pod(program: Recording) -> Any:
    """The pod that uses the store."""
    for service in program.of_kind("InferenceService").values():
        return service["spec"]["predictor"]
    for server in program.of_kind("StatefulSet").values():
        return server["spec"]["template"]["spec"]
    (job,) = program.of_kind("CronJob").values()
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def variables(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Environment variables of all containers, those from Secrets with their key."""
    return dict(_variables(pod))


def _variables(pod: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
        for entry in container.get("env", []):
            reference = entry.get("valueFrom", {}).get("secretKeyRef", {})
            yield entry["name"], entry.get("value") or reference.get("key")


@pytest.mark.parametrize("kind", COMPONENTS)
def test_static_keys_come_from_a_secret(kind: str) -> None:
    program = component(kind, static)
    values = variables(pod(program))
    assert (values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]) == ("access", "secret")
    assert values["AWS_ENDPOINT_URL_S3"] == "https://store.example"
    assert values["AWS_CA_BUNDLE"] == "/ca/ca.crt"
    assert json.dumps(program.inputs).count(f"{SENTINEL}-access") == 1
    assert list(leaks(program.inputs)) == []
    assert program.of_kind("ServiceAccount") == {}
    assert "serviceAccountName" not in pod(program)


@pytest.mark.parametrize("kind", COMPONENTS)
def test_an_identity_is_the_service_accounts_and_no_key_is_mounted(kind: str) -> None:
    program = component(kind, cloud)
    (account,) = program.of_kind("ServiceAccount").values()
    assert account["metadata"]["annotations"] == ROLE
    # The cloud's own trust policy names it.
    assert account["metadata"]["name"] == pod(program)["serviceAccountName"] == ACCOUNTS[kind]
    assert account["automountServiceAccountToken"] is False
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & set(variables(pod(program)))
    secrets = json.dumps([value for key, value in program.inputs.items() if ":Secret::" in key])
    assert '"access"' not in secrets and '"secret"' not in secrets


@pytest.mark.parametrize("kind", COMPONENTS)
def test_a_cloud_store_has_a_region_its_own_endpoint_and_public_authorities(kind: str) -> None:
    used = pod(component(kind, cloud))
    values = variables(used)
    assert values["AWS_REGION"] == "eu-central-1"
    assert not {"AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL", "AWS_CA_BUNDLE"} & set(values)
    assert "ca" not in {volume["name"] for volume in used.get("volumes", [])}
    mounts = {
        mount["name"]
        for container in [*used.get("initContainers", []), *used.get("containers", [])]
        for mount in container["volumeMounts"]
    }
    assert "ca" not in mounts


@pytest.mark.parametrize("kind", COMPONENTS)
def test_an_identity_may_have_a_trust_bundle(kind: str) -> None:
    program = component(kind, lambda: {**cloud(), "trust_bundle": "authorities"})
    assert variables(pod(program))["AWS_CA_BUNDLE"] == "/ca/ca.crt"
    (volume,) = [volume for volume in pod(program)["volumes"] if volume["name"] == "ca"]
    assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    assert volume["secret"]["secretName"].startswith("it-secret")


@pytest.mark.parametrize(
    ("more", "given"), [({"keys": {"access_key": "a", "secret_key": "s"}}, "both"), ({"identity": None}, "neither")]
)
def test_keys_and_identity_exclude_each_other(more: Any, given: str) -> None:
    with pytest.raises(ValueError, match=f"store models: exactly one of `keys` and `identity` is needed, {given}"):
        secret_data({**cloud(), **more})
