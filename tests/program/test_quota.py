"""What the quota of a namespace counts is made and changed once the quota holds: a wider one first."""

import pytest

from tests.program.conftest import STACKS, Programs
from tests.program.harness import Recording, shown

# Past the quota, claims and Services are refused at once; pods only of the others, until it fits.
_COUNTED = ("PersistentVolumeClaim", "Service", "Deployment", "StatefulSet")


def counted(program: Recording) -> dict[str, str]:
    """The keys of what a quota of the stack counts, and of that quota."""
    quotas = {
        inputs["metadata"]["namespace"]: f"kubernetes:core/v1:ResourceQuota::{name}"
        for name, inputs in program.of_kind("ResourceQuota").items()
    }
    return {
        key: quotas[namespace]
        for key, inputs in program.inputs.items()
        if key.rpartition("::")[0].rpartition(":")[2] in _COUNTED
        and (namespace := shown(inputs)["metadata"]["namespace"]) in quotas
    }


@pytest.mark.parametrize("stack", STACKS)
def test_what_a_quota_counts_waits_for_it(stack: str, released: Programs) -> None:
    program = released[stack]
    waiting = counted(program)
    assert {key.rpartition("::")[0].rpartition(":")[2] for key in waiting} >= {"Service", "Deployment"}
    assert [key for key, quota in waiting.items() if quota not in program.dependencies[key]] == []
