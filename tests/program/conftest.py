"""The programs of the three stacks, each run once; a machine of empty folders; releases to point at."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra import machine, values
from infra import program as program_module
from infra.kubeconfig import VARIABLE
from tests.program.harness import ROOT, SENTINEL, Recording, run, stack_values

STACKS = ("dev", "test", "prod")
FIXTURES = Path(__file__).parents[1] / "infra" / "contract" / "releases"


@pytest.fixture(scope="package", autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `stellwerk env` would set, and a stacks folder with the release fixtures."""
    place = tmp_path_factory.mktemp("machine")
    root = place / "checkout"
    tools = root / ".toolchain"
    for folder in ("manifests/kserve/crds", "manifests/kserve/rbac"):
        (tools / folder).mkdir(parents=True)
    for folder in ("build-contexts/base-python", "build-contexts/elasticsearch"):
        (tools / folder).mkdir(parents=True)
    (place / "secrets").mkdir()
    (place / "secrets" / "ca.crt").write_text(f"{SENTINEL}-build")
    context = {"name": "stellwerk", "context": {"cluster": "stellwerk"}}
    kubeconfig = {"contexts": [context], "clusters": [{"name": "stellwerk", "cluster": {}}]}
    (place / "kubeconfig").write_text(json.dumps(kubeconfig))
    shutil.copytree(FIXTURES, root / "stacks" / "releases")
    for stack in STACKS:
        shutil.copy(ROOT / values.file_name(stack), root / "stacks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(place / "kubeconfig"))
        patch.setenv(machine.MANIFESTS, str(tools / "manifests"))
        patch.setenv(machine.BUILD_CONTEXTS, str(tools / "build-contexts"))
        patch.setenv(machine.BUILD_SECRETS, str(place / "secrets"))
        patch.delenv(machine.POD_LOGS, raising=False)
        # Each module that took the name over: with other packages' tests in between, the next machine is another one.
        for module in (values, program_module):
            patch.setattr(module, "ROOT", root)
        yield


@pytest.fixture(scope="package")
def programs(_surroundings: None) -> Mapping[str, Recording]:
    """Each stack as its file says, without a release."""
    return {stack: run(stack_values(stack), stack) for stack in STACKS}


@pytest.fixture(params=STACKS)
def program(request: pytest.FixtureRequest, programs: Mapping[str, Recording]) -> Recording:
    """Each of the stacks."""
    return programs[request.param]


@pytest.fixture(scope="package")
def released(_surroundings: None) -> Mapping[str, Recording]:
    """Each stack with a release, on the node pool."""
    found = {}
    for stack in STACKS:
        given = stack_values(stack)
        given["models"]["digits"].update(release="v2-3f2a9c1d", previous="v1-0a1b2c3d", nodePool="gpu-sim")
        for training in given["training"].values():
            training["nodePool"] = "gpu-sim"
        found[stack] = run(given, stack)
    return found


@pytest.fixture
def refused() -> Callable[[str, Mapping[str, Any]], str]:
    """The message with which the program refuses values."""
    import pulumi

    def message(stack: str, given: Mapping[str, Any]) -> str:
        with pytest.raises(pulumi.RunError) as raised:
            run(given, stack)
        return str(raised.value)

    return message
