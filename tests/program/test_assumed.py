"""A preview without credentials: Secrets are as the state says, and no service is refused its credentials."""

import json
from pathlib import Path

import pytest

from infra.composition.assumed import REMOVED, KnownSecret, write
from infra.composition.credentials import read, without_secrets
from infra.contract.stacks import StackFiles
from infra.discovery import known
from infra.values import Folders, validate
from tests.program.conftest import STACKS, Machine, Run
from tests.program.harness import SENTINEL, stack_values


@pytest.mark.parametrize("stack", STACKS)
def test_credentials_without_secrets_are_enough_for_the_program(stack: str, machine: Machine, run: Run) -> None:
    given = stack_values(stack)
    values = {key: value for key, value in given.items() if key != "credentials"}
    loaded = validate(values, stack, StackFiles(machine.root), Folders.of(machine.root), known())
    made = without_secrets(given["credentials"], loaded.stack)
    assert SENTINEL not in json.dumps(made)
    assert made["registry"]["username"] == given["credentials"]["registry"]["username"]
    assert read(json.dumps(made), loaded.stack, "f") is not None
    # Of an environment whose credentials nobody knows yet.
    assert read(json.dumps(without_secrets({}, loaded.stack)), loaded.stack, "f") is not None
    assert run({**given, "credentials": made}, stack).inputs.keys() == run(given, stack).inputs.keys()


def test_secrets_have_the_names_and_no_values_of_the_state(run: Run, tmp_path: Path) -> None:
    before = run(stack_values("prod"), "prod").of_kind("Secret")
    file = tmp_path / "assumed"
    write(
        file,
        {
            "gateway-tls": KnownSecret("gateway-tls-of-the-state", ("tls.key", "tls.crt")),
            # It has lost a key since.
            "pull-serving": KnownSecret("pull-serving-of-the-state", (".dockerconfigjson", "more")),
        },
    )
    recording = run(stack_values("prod"), "prod", STELLWERK_ASSUMED=str(file))
    after = recording.of_kind("Secret")
    assert after.keys() == before.keys()
    names = {name: (before[name]["metadata"]["name"], each["metadata"]["name"]) for name, each in after.items()}
    assert names["gateway-tls"][1] == "gateway-tls-of-the-state"
    assert all(mine == theirs for name, (mine, theirs) in names.items() if name != "gateway-tls")
    # Who uses it names it so.
    assert "gateway-tls-of-the-state" in json.dumps(recording.of_kind("Deployment")["gateway"])
    assert SENTINEL not in json.dumps(recording.inputs)
    assert REMOVED in json.dumps(recording.inputs)
