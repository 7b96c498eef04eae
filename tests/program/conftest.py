"""The programs of the three stacks, each run once; a machine of empty folders; releases to point at."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pulumi
import pytest

from infra.discovery import Services
from infra.targets import variables
from infra.targets.target import Target
from tests.program import harness
from tests.program.harness import ROOT, SENTINEL, Recording, stack_values
from tests.support.documents import ENVIRONMENTS, write_stacks
from tests.support.models import copy_models

STACKS = ENVIRONMENTS
FIXTURES = Path(__file__).parents[1] / "infra" / "contract" / "releases"

Programs = Mapping[str, Recording]


@dataclass(frozen=True)
class Machine:
    """A checkout with the stack files and the release fixtures, and the variables that `stellwerk env` would set."""

    root: Path
    variables: Mapping[str, str]

    def run(
        self,
        values: Mapping[str, Any],
        stack: str,
        services: Services | None = None,
        before: Mapping[str, Mapping[str, Any]] | None = None,
        **changed: str | None,
    ) -> Recording:
        """The program with these values; `changed` variables are set, or absent where None."""
        given = {name: value for name, value in {**self.variables, **changed}.items() if value is not None}
        return harness.run(values, stack, self.root, Target(given), services, before)


class Run(Protocol):
    """Runs the program on the machine."""

    def __call__(
        self,
        values: Mapping[str, Any],
        stack: str,
        services: Services | None = None,
        before: Mapping[str, Mapping[str, Any]] | None = None,
        **changed: str | None,
    ) -> Recording: ...


class Refused(Protocol):
    """The message with which the program refuses values."""

    def __call__(
        self, stack: str, given: Mapping[str, Any], services: Services | None = None, **changed: str | None
    ) -> str: ...


@pytest.fixture(scope="package")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    place = tmp_path_factory.mktemp("machine")
    root = place / "checkout"
    tools = root / ".toolchain"
    for folder in ("manifests/kserve/crds", "manifests/kserve/rbac"):
        (tools / folder).mkdir(parents=True)
    for folder in ("build-contexts/base-python", "build-contexts/elasticsearch"):
        (tools / folder).mkdir(parents=True)
    (root / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "dev.txt", root / "requirements")
    (place / "secrets").mkdir()
    (place / "secrets" / "ca.crt").write_text(f"{SENTINEL}-build")
    context = {"name": "stellwerk", "context": {"cluster": "stellwerk"}}
    kubeconfig = {"contexts": [context], "clusters": [{"name": "stellwerk", "cluster": {}}]}
    (place / "kubeconfig").write_text(json.dumps(kubeconfig))
    shutil.copytree(FIXTURES, root / "stacks" / "releases")
    copy_models(root)
    write_stacks(root)
    return Machine(
        root,
        {
            variables.KUBECONFIG: str(place / "kubeconfig"),
            variables.MANIFESTS: str(tools / "manifests"),
            variables.BUILD_CONTEXTS: str(tools / "build-contexts"),
            variables.BUILD_SECRETS: str(place / "secrets"),
        },
    )


@pytest.fixture(scope="package")
def run(machine: Machine) -> Run:
    """The program on the machine."""
    return machine.run


@pytest.fixture(scope="package")
def programs(run: Run) -> Mapping[str, Recording]:
    """Each stack as its file says, without a release."""
    return {stack: run(stack_values(stack), stack) for stack in STACKS}


@pytest.fixture(params=STACKS)
def program(request: pytest.FixtureRequest, programs: Mapping[str, Recording]) -> Recording:
    """Each of the stacks."""
    return programs[request.param]


@pytest.fixture(scope="package")
def released(run: Run) -> Mapping[str, Recording]:
    """Each stack with a release, on the node pool."""
    made = {}
    for stack in STACKS:
        given = stack_values(stack)
        given["models"]["digits"].update(release="v2-3f2a9c1d", previous="v1-0a1b2c3d", nodePool="gpu-sim")
        for training in given.get("training", {}).values():
            training["nodePool"] = "gpu-sim"
        made[stack] = run(given, stack)
    return made


@pytest.fixture
def refused(run: Run) -> Refused:
    """The message with which the program refuses values."""

    def message(stack: str, given: Mapping[str, Any], services: Services | None = None, **changed: str | None) -> str:
        with pytest.raises(pulumi.RunError) as raised:
            run(given, stack, services, None, **changed)
        return str(raised.value)

    return message
