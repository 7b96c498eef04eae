"""The rights that `doctor --target` asks a cluster for, held against what the program declares."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from delivery.operations.target_rights import needed
from infra.values import from_file
from tests.program.conftest import STACKS, Machine, Programs
from tests.program.harness import Recording, stack_values
from tests.program.test_gateway import ATTACHED, INGRESS
from tests.program.test_logging import ECK, USER
from tests.program.test_logging import values as logged
from tests.program.test_scaling import KEDA
from tests.program.test_targets import composed
from tests.support.documents import write_stacks, yaml
from tests.support.example_stacks import NAMES, write_examples
from tests.support.models import copy_models

# Of the provider: objects of files and of a chart, which take an administrator.
_MANY = ("ConfigGroup", "Release")
_MACHINE = {"name": "l4", "cpu": "8", "memory": "32Gi"}
_EC2 = {
    "role": "nodes", "amiAlias": "al2023@v20251101", "subnets": {"tags": {"a": "b"}},
    "securityGroups": {"tags": {"a": "b"}},
}  # fmt: skip


def gpus(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "accelerator": "nvidia-l4", "gpus": 1, "nodes": 4, **more}


def elastic(**more: Any) -> dict[str, Any]:
    return {"kind": "elastic", "elastic": {"instanceTypes": [_MACHINE], **more}}


POOLS = [
    gpus("claimed", kind="external", deviceClass="gpu.nvidia.com"),
    gpus("ours", kind="existing", nodes=1, select={"names": ["node-1"]}),
    gpus("local", **elastic(provider="kwok")),
    gpus("cloud", **elastic(nodeClass=_EC2)),
]


def pooled(stack: str, pools: list[dict[str, Any]]) -> dict[str, Any]:
    given = stack_values(stack)
    given["models"]["digits"] |= {"release": "v2-3f2a9c1d", "nodePool": "claimed"}
    for training in given.get("training", {}).values():
        training["nodePool"] = "claimed"
    return given | {"nodePools": pools}


def scaled(**autoscaler: Any) -> dict[str, Any]:
    given, to_zero = stack_values("prod"), "keda" in autoscaler
    scaling = {"max": 4, **({"requestsPerSecond": 5, "scaleToZero": True} if to_zero else {"cpu": 70})}
    given["models"]["digits"] = {"release": "v2-3f2a9c1d", "autoscaling": scaling}
    return given | {"autoscaler": autoscaler}


def eck() -> dict[str, Any]:
    return logged(ECK, {"users": {"shipper": USER, "reader": USER, "keeper": USER, "readers": {"auditor": USER}}})


# Stack and values by what they switch on.
VALUES: Mapping[str, tuple[str, Any]] = {
    "pools of all kinds": ("dev", lambda: pooled("dev", POOLS) | {"gpuOperator": {"mode": "existing"}}),
    "claims of a guest": ("prod", lambda: pooled("prod", POOLS[:1])),
    "priorities": ("dev", lambda: stack_values("dev") | {"priority": {"value": 1000}}),
    "scaled by CPU": ("prod", lambda: scaled(cpu=True)),
    "scaled to zero": ("prod", lambda: scaled(keda=KEDA)),
    "routes": ("prod", lambda: stack_values("prod") | {"gateway": ATTACHED}),
    "ingresses": ("prod", lambda: stack_values("prod") | {"gateway": INGRESS}),
    "ECK": ("prod", eck),
}


def missing(program: Recording, root: Path, stack: str) -> set[str]:
    """The rights on what the program declares in the cluster that are not asked for."""
    environment = from_file(stack, root).environment
    asked = {(each.verb, each.group, each.resource, bool(each.namespace)) for each in needed(environment)}
    owned = not environment.cluster.shared
    return {
        f"{verb} {resource}.{group}"
        for key, inputs in program.inputs.items()
        if key.startswith("kubernetes:")
        for group, kind in [_of(key)]
        if kind not in _MANY
        for resource in [_plural(kind.removesuffix("Patch"))]
        for verb in _verbs(kind, owned)
        # A right everywhere is one in each namespace.
        if not asked & {(verb, group, resource, place) for place in _places(inputs)}
    }


def _places(inputs: Any) -> tuple[bool, ...]:
    return (True, False) if "namespace" in (inputs.get("metadata") or {}) else (False,)


def _of(key: str) -> tuple[str, str]:
    _, version, kind = key.rpartition("::")[0].split(":")
    group = version.partition("/")[0]
    return ("" if group == "core" else group), kind


def _verbs(kind: str, owned: bool) -> Iterator[str]:
    yield from ("get", "patch")
    if not kind.endswith("Patch"):
        yield "delete"
        # Those of a guest are its owner's to make, or it is said that there are none.
        if owned or kind != "Namespace":
            yield "create"


def _plural(kind: str) -> str:
    name = kind.lower()
    if name.endswith("y"):
        return f"{name.removesuffix('y')}ies"
    return f"{name}es" if name.endswith(("s", "h", "ch")) else f"{name}s"


@pytest.mark.parametrize("stack", STACKS)
def test_every_kind_that_the_program_declares_is_asked_for(stack: str, machine: Machine, released: Programs) -> None:
    assert missing(released[stack], machine.root, stack) == set()


@pytest.mark.parametrize("title", VALUES)
def test_every_kind_that_values_switch_on_is_asked_for(title: str, machine: Machine, tmp_path: Path) -> None:
    stack, made = VALUES[title]
    given = made()
    program = machine.run(given, stack)
    root = tmp_path / "checkout"
    root.mkdir()
    write_stacks(root)
    copy_models(root)
    shutil.copytree(machine.root / "stacks" / "releases", root / "stacks" / "releases")
    document = {"config": {f"stellwerk:{key}": value for key, value in given.items() if key != "credentials"}}
    yaml().dump(document, root / "stacks" / f"Pulumi.{stack}.yaml")
    assert missing(program, root, stack) == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_the_docs_values_is_asked_for(name: str, machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    checkout = write_examples(tmp_path / "checkout")
    assert missing(composed(name, checkout, machine, tmp_path), checkout, name) == set()
