"""What is in a namespace goes with it, but for what a controller has to take away, and what runs pods."""

from collections.abc import Mapping

import pytest

from tests.program.conftest import STACKS
from tests.program.harness import Recording, shown

Programs = Mapping[str, Recording]
ALONE = ("kubernetes:serving.kserve.io/", "kubernetes:apps/")


@pytest.mark.parametrize("stack", STACKS)
def test_what_is_in_a_namespace_goes_with_it(stack: str, released: Programs) -> None:
    program = released[stack]
    namespaces = {
        inputs["metadata"]["name"]: f"kubernetes:core/v1:Namespace::{name}"
        for name, inputs in program.of_kind("Namespace").items()
    }
    with_it = {
        key: namespaces[shown(inputs)["metadata"]["namespace"]]
        for key, inputs in program.inputs.items()
        if "namespace" in inputs.get("metadata", {}) and not key.startswith(ALONE) and "Patch::" not in key
    }
    assert with_it and with_it == {key: holder for key, holder in program.deleted_with.items() if key in with_it}


@pytest.mark.parametrize("stack", STACKS)
def test_all_else_is_deleted_by_itself(stack: str, released: Programs) -> None:
    """KServe's controller takes an InferenceService away; the namespace waits long for pods; others are in none."""
    alone = {key.split("::")[0].split(":")[-1] for key, holder in released[stack].deleted_with.items() if not holder}
    assert {"InferenceService", "Deployment", "Namespace"} <= alone
    assert not alone & {"Secret", "ConfigMap", "Service", "RoleBinding"}


def test_a_number_of_pods_goes_with_what_makes_them(released: Programs) -> None:
    """Patched alone, a Deployment that does not exist would be made."""
    assert (
        released["prod"]
        .deleted_with["kubernetes:apps/v1:DeploymentPatch::digits-replicas"]
        .endswith("InferenceService::digits")
    )
