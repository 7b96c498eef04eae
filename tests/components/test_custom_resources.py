"""Custom resources as KServe's own definitions have them: types, and no field that the API server would drop."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from components.serving.inference_service import InferenceService
from components.serving.kserve import KServe
from infra.local.toolchain.paths import view
from tests.components.declarations import cloud, inference_args, static
from tests.components.mocks import declared


def schema(kind: str, version: str) -> dict[str, Any]:
    """The schema of a version of a kind, in which unknown fields are refused, not dropped; skips without toolchain."""
    file = view() / "manifests" / "kserve" / "schemas" / f"serving.kserve.io_{kind}.yaml"
    if not file.is_file():
        pytest.skip(f"{file} is not made yet: `stellwerk cluster up` does it")
    # A megabyte: the loader in C takes a second, the other one ten.
    definition = yaml.load(file.read_text(), yaml.CSafeLoader)
    (chosen,) = [each for each in definition["spec"]["versions"] if each["name"] == version]
    closed: dict[str, Any] = chosen["schema"]["openAPIV3Schema"]
    for node in nodes(closed):
        if "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
            node["additionalProperties"] = False
    return closed


@pytest.fixture(scope="module")
def inference_services() -> dict[str, Any]:
    return schema("inferenceservices", "v1beta1")


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        for child in schema.values():
            yield from nodes(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from nodes(child)


@pytest.mark.parametrize("store", [static, cloud])
@pytest.mark.parametrize("pool", [None, "gpu-sim"])
def test_an_inference_service_fits_its_definition(
    inference_services: dict[str, Any], store: Any, pool: str | None
) -> None:
    program = declared(lambda: InferenceService("it", {**inference_args(store()), "node_pool": pool}))
    (service,) = program.of_kind("InferenceService").values()
    errors = jsonschema.Draft202012Validator(inference_services).iter_errors(service)
    assert [error.message for error in errors] == []


def test_the_runtime_fits_its_definition() -> None:
    program = declared(
        lambda: KServe(
            "it",
            {
                "namespace": "dev-kserve",
                "image": "kserve:1",
                "manifests": "manifests",
                "runtime_image": "registry/serving:1",
                "tls": {"certificate": "certificate", "key": "key"},
                "authority": "authority",
                "context": "stellwerk",
            },
        )
    )
    (runtime,) = program.of_kind("ClusterServingRuntime").values()
    validator = jsonschema.Draft202012Validator(schema("clusterservingruntimes", "v1alpha1"))
    assert [error.message for error in validator.iter_errors(runtime)] == []


def test_a_field_that_kserve_does_not_know_is_refused(inference_services: dict[str, Any]) -> None:
    wrong = {"spec": {"predictor": {"replica": 1, "minReplicas": "one"}}}
    errors = [error.message for error in jsonschema.Draft202012Validator(inference_services).iter_errors(wrong)]
    assert any("'replica' was unexpected" in message for message in errors)
    assert "'one' is not of type 'integer'" in errors
