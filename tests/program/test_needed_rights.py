"""The rights that `doctor --target` asks a cluster for, held against what the program declares."""

from typing import Any

import pytest

from components.cluster.rights import DEPLOY
from delivery.operations.target_rights import needed
from delivery.project import Project
from tests.program.conftest import STACKS, Machine, Programs, Run
from tests.program.test_scaling import KEDA, scaled


@pytest.mark.parametrize("stack", STACKS)
def test_every_kind_that_the_program_declares_is_asked_for(stack: str, machine: Machine, released: Programs) -> None:
    declared = {key.rpartition("::")[0] for key in released[stack].inputs if key.startswith("kubernetes:")}
    asked = {right.resource for right in needed(Project(machine.root).environment(stack))}
    # Of files: definitions and a role, which stand in the table by themselves.
    kinds = {each.rpartition(":")[2].removesuffix("Patch").lower() for each in declared} - {"configgroup"}
    assert {kind for kind in kinds if not {f"{kind}s", f"{kind.removesuffix('y')}ies"} & asked} == set()


@pytest.mark.parametrize(
    ("autoscaler", "scaling"), [({"cpu": True}, {"cpu": 70}), ({"keda": KEDA}, {"requestsPerSecond": 50})]
)
def test_who_has_the_printed_rights_may_make_all_that_a_shared_cluster_s_program_declares(
    run: Run, autoscaler: dict[str, Any], scaling: dict[str, Any]
) -> None:
    program = scaled(run, autoscaler, max=4, **scaling)
    types = [key.rpartition("::")[0].split(":") for key in program.inputs if key.startswith("kubernetes:")]
    declared = {(api.partition("/")[0], kind.removesuffix("Patch").lower()) for _, api, kind in types}
    given = {(rule.group or "core", name) for rule in DEPLOY if "create" in rule.verbs for name in rule.resources}
    # The namespaces are the owner's to make.
    missing = {
        (api, kind)
        for api, kind in declared - {("core", "namespace")}
        if not {(api, f"{kind}s"), (api, f"{kind.removesuffix('y')}ies")} & given
    }
    assert missing == set()
