"""Every object says which project and stack it belongs to, and its pods do not."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
import pytest

from components.cluster.ownership import PROJECT_LABEL, STACK_LABEL
from infra.services.ownership.marks import mark_child
from tests.program.conftest import STACKS
from tests.program.harness import Recording, shown

MANAGER = "pulumi.com/patchFieldManager"
Programs = Mapping[str, Recording]


def objects(program: Recording) -> Iterator[tuple[str, Any]]:
    """Name and inputs of every object that the program itself declares; a patch is of somebody else's."""
    for name, inputs in program.inputs.items():
        if name.startswith("kubernetes:") and ":yaml/" not in name and "Patch::" not in name:
            yield name, shown(inputs)


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_names_its_owner(stack: str, released: Programs) -> None:
    wrong = {
        name
        for name, inputs in objects(released[stack])
        if inputs["metadata"]["labels"].get(PROJECT_LABEL) != "stellwerk"
        or inputs["metadata"]["labels"].get(STACK_LABEL) != stack
        or inputs["metadata"]["annotations"].get(MANAGER) != f"stellwerk/stellwerk/{stack}"
    }
    assert not wrong


@pytest.mark.parametrize("stack", STACKS)
def test_an_object_is_called_the_same_in_every_run(stack: str, programs: Programs, released: Programs) -> None:
    """An update takes over what a killed one has made: of a name that is generated there would be two."""
    names = {name: inputs["metadata"].get("name") for name, inputs in objects(released[stack])}
    assert names and all(names.values()), [name for name, given in names.items() if not given]
    before = {name: inputs["metadata"].get("name") for name, inputs in objects(programs[stack])}
    assert before and before.items() <= names.items()


@pytest.mark.parametrize("stack", STACKS)
def test_no_pod_and_no_selector_does(stack: str, released: Programs) -> None:
    """They would roll every pod, and a selector can't change at all."""
    for name, inputs in objects(released[stack]):
        inside = json.dumps([inputs.get("spec"), inputs.get("webhooks")])
        if "ValidatingAdmissionPolicy" not in name:
            assert PROJECT_LABEL not in inside and STACK_LABEL not in inside and MANAGER not in inside, name


def test_what_an_object_has_already_stays(released: Programs) -> None:
    service = released["prod"].of_kind("InferenceService")["digits"]["metadata"]
    assert service["labels"]["stellwerk.dev/model"] == "digits"
    assert service["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"


def test_the_owner_of_the_cluster_has_the_policy_and_no_other(programs: Programs) -> None:
    kinds = {stack: len(programs[stack].of_kind("ValidatingAdmissionPolicy")) for stack in STACKS}
    assert kinds == {"dev": 1, "test": 0, "prod": 0}


def test_the_objects_of_files_are_marked_in_the_engine(programs: Programs) -> None:
    groups = {name: tokens for name, tokens in programs["dev"].transforms.items() if "ConfigGroup" in name}
    assert groups and set(map(tuple, groups.values())) == {("mark_child",)}


@pulumi.runtime.test
def test_an_object_of_a_file_keeps_what_it_has() -> None:
    props = {"kind": "ClusterRole", "metadata": {"name": "x", "labels": {"a": "b"}}}
    kind = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
    marked = mark_child(pulumi.ResourceTransformArgs(True, kind, "name", props, pulumi.ResourceOptions()))
    assert marked is not None
    metadata = marked.props["metadata"]
    assert metadata["name"] == "x" and metadata["labels"].keys() == {"a", PROJECT_LABEL, STACK_LABEL}
    assert MANAGER in metadata["annotations"]


@pulumi.runtime.test
def test_a_definition_keeps_its_manager() -> None:
    """The provider puts it as a whole: to give up the manager it had would leave nobody with its fields."""
    kind = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
    args = pulumi.ResourceTransformArgs(True, kind, "name", {"metadata": {"name": "x"}}, pulumi.ResourceOptions())
    marked = mark_child(args)
    assert marked is not None
    assert marked.props["metadata"].keys() == {"name", "labels"}


@pytest.mark.parametrize("kind", ["kubernetes:apps/v1:DeploymentPatch", "docker-build:index:Image"])
def test_an_object_of_somebody_else_is_not_marked(kind: str) -> None:
    args = pulumi.ResourceTransformArgs(True, kind, "name", {"metadata": {"name": "x"}}, pulumi.ResourceOptions())
    assert mark_child(args) is None
