"""The page of the components says what each makes, needs and costs, as the program of the stacks declares.

`--snapshot-update` writes the table again.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from components.package import COMPONENTS
from components.reference import PAGE
from delivery.operations.events import quantity
from tests.program.conftest import STACKS, Run
from tests.program.harness import Recording, shown, stack_values
from tests.program.test_gateway import ATTACHED, INGRESS
from tests.program.test_logging import ECK, USER
from tests.support.documents import whole_values

BEGIN, END = "<!-- Written by tests/program/test_components_page.py. -->\n", "<!-- Until here. -->\n"
ECR = {
    "mode": "external", "kind": "ecr", "address": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/ml",
    "podLogin": {"role": "arn:aws:iam::111122223333:role/pull", "image": "registry.example.com/python:3.11"},
}  # fmt: skip
# Groups of Kubernetes itself have no dot, or end so.
_OWN = re.compile(r"[^.]*|.*\.k8s\.io")
_MEBI, _GIBI = 2**20, 2**30


@pytest.fixture
def declared(released: Mapping[str, Recording], run: Run) -> list[Recording]:
    """The stacks' programs, then some with the services that no stack of the tests has."""
    machine = {"name": "l4", "cpu": "8", "memory": "32Gi", "pricePerHour": 1.5}
    burst = {
        "name": "burst", "kind": "elastic", "accelerator": "nvidia-l4", "gpus": 1, "nodes": 4,
        "elastic": {"provider": "kwok", "instanceTypes": [machine]},
    }  # fmt: skip
    ours = {
        "name": "ours", "kind": "existing", "accelerator": "nvidia-l40s", "gpus": 1,
        "select": {"names": ["node-1"]},
    }  # fmt: skip
    owner, inside, outside = stack_values("dev"), stack_values("prod"), stack_values("prod")
    owner["nodePools"] = [*owner["nodePools"], burst, ours]
    owner |= {"gpuOperator": {"mode": "existing"}, "priority": {"value": 1000}}
    owner["tracking"]["tensorboard"] = True
    owner["credentials"]["tensorboard"] = {"password": "word", "hash": "hash"}
    users = {name: USER for name in ("shipper", "reader", "keeper")}
    inside["logging"] = whole_values("prod")["logging"] | ECK
    inside["credentials"]["logStore"] = {"users": {**users, "readers": {"auditor": USER}}}
    inside["gateway"] = ATTACHED
    inside["quota"] |= {"cpu": "8", "memory": "32Gi"}
    outside["logging"] = {
        "mode": "external",
        "url": "https://logs:9200",
        "dataStream": "logs-stellwerk-prod",
        "podLogsPath": "/var/log/pods",
    }
    login = {"username": "reader", "password": "word"}
    outside["credentials"]["logStore"] = {**login, "shipper": login}
    outside["gateway"] = INGRESS
    outside["cluster"]["ownRuntime"] = True
    outside["registry"] = ECR
    return [*(released[stack] for stack in STACKS), run(owner, "dev"), run(inside, "prod"), run(outside, "prod")]


def test_the_page_says_what_each_component_makes(declared: list[Recording], request: pytest.FixtureRequest) -> None:
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    table = "".join(_table(declared))
    if request.config.getoption("update_snapshots"):
        PAGE.write_text("".join([head, BEGIN, table, END, tail]), encoding="utf-8")
        return
    assert end and rest.partition(END)[0] == table, (
        "run: pytest tests/program/test_components_page.py --snapshot-update"
    )


def _table(programs: list[Recording]) -> Iterator[str]:
    yield "\n| component | makes | asks of the cluster | pods request |\n|---|---|---|---|\n"
    for name in sorted(component.__name__ for component in COMPONENTS):
        objects = _objects(programs, f"stellwerk:index:{name}::")
        counted = Counter(kind.rpartition(":")[2] for kind, _ in objects)
        made = ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in sorted(counted.items()))
        needs = ", ".join(sorted(set(_needs(objects)))) or "nothing more"
        yield f"| [{name}](#{name.lower()}) | {made} | {needs} | {_cost(objects)} |\n"


def _needs(objects: list[tuple[str, Any]]) -> Iterator[str]:
    """Give what Kubernetes and its provider do not have, and what is asked for is not among the objects."""
    brings_definitions = any(kind.endswith(":ConfigGroup") for kind, _ in objects)
    for kind, each in objects:
        group = each.get("apiVersion", "v1").partition("/")[0]
        if not _OWN.fullmatch(group) and not brings_definitions:
            yield f"`{group}`"
        if any(name.startswith("kwok.") for name in each.get("metadata", {}).get("annotations", {})):
            yield "kwok"
        if not kind.startswith("kubernetes:"):
            yield f"the provider `{kind.partition(':')[0]}`"


def _objects(programs: list[Recording], component: str) -> list[tuple[str, Any]]:
    """Return types and inputs of what one component makes, in the first program that has one."""
    for program in programs:
        for owner in sorted(key for key in program.inputs if key.startswith(component)):
            return [
                (key.partition("::")[0], shown(program.inputs[key]))
                for key, parent in program.parents.items()
                if parent == owner
            ]
    raise AssertionError(f"no program has {component}")


def _cost(objects: list[tuple[str, Any]]) -> str:
    cpu = memory = storage = 0.0
    for kind, each in objects:
        spec = each.get("spec", {})
        if kind.endswith(":PersistentVolumeClaim"):
            storage += quantity(spec["resources"]["requests"]["storage"])
        if not kind.startswith("kubernetes:apps/"):
            continue
        for container in spec.get("template", {}).get("spec", {}).get("containers", []):
            requests = container["resources"]["requests"]
            cpu += spec.get("replicas", 1) * quantity(requests["cpu"])
            memory += spec.get("replicas", 1) * quantity(requests["memory"])
    parts = [f"{cpu:.2f} CPU, {memory / _MEBI:.0f} MiB"] if cpu else []
    parts += [f"{storage / _GIBI:.0f} GiB of disk"] if storage else []
    return ", ".join(parts) or "nothing"
