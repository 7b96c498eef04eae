"""What the program refuses before it declares anything: each is one message that says what to do."""

import re
from pathlib import Path

import pytest

from tests.program.conftest import STACKS, Refused, Run
from tests.program.harness import stack_values


def test_a_configuration_error_is_one_message(refused: Refused) -> None:
    given = stack_values("prod")
    given["models"]["digits"]["replicas"] = 0
    message = refused("prod", given)
    assert re.match(r"stacks/Pulumi\.prod\.yaml:\d+: stellwerk:models\.digits\.replicas\n  given:   0\n", message)


def test_a_release_that_is_not_there_is_one_message(refused: Refused) -> None:
    given = stack_values("prod")
    given["models"]["digits"]["release"] = "v9-00000000"
    assert "stacks/releases/digits/v9-00000000.yaml: there is no such release" in refused("prod", given)


@pytest.mark.parametrize("stack", STACKS)
def test_absent_credentials_name_the_command(stack: str, refused: Refused) -> None:
    given = stack_values(stack)
    del given["credentials"]
    message = refused(stack, given)
    assert f"stacks/Pulumi.{stack}.yaml: stellwerk:credentials" in message
    assert f"run `stellwerk init {stack}`" in message


@pytest.mark.parametrize("section", ["objectStore", "registry", "tracking", "logStore"])
def test_incomplete_credentials_are_refused_without_a_value(section: str, refused: Refused) -> None:
    given = stack_values("dev")
    del given["credentials"][section]
    message = refused("dev", given)
    assert section in message
    assert "sentinel" not in message


def test_an_absent_authority_names_the_command(refused: Refused) -> None:
    given = stack_values("dev")
    del given["caCertificate"]
    assert "run `stellwerk init dev`" in refused("dev", given)


@pytest.mark.parametrize("variable", ["STELLWERK_MANIFESTS", "STELLWERK_BUILD_CONTEXTS"])
def test_a_machine_without_the_folders_is_told_how_to_get_them(variable: str, refused: Refused, run: Run) -> None:
    message = refused("dev", stack_values("dev"), **{variable: None})
    assert message.startswith(f"{variable}: it is not set")
    assert 'eval "$(stellwerk env)"' in message
    assert run(stack_values("prod"), "prod", **{variable: None}).inputs, "prod needs none of them"


def test_another_kserve_takes_the_manifests_of_its_version_alone(refused: Refused, run: Run, tmp_path: Path) -> None:
    """Definitions of one version under the controller of another are found out by nobody."""
    given = stack_values("dev")
    given["images"]["kserveManager"] = "registry.example.com/kserve-manager:0.14.1"
    given["kserve"] = {"version": "0.14.1"}
    message = refused("dev", given)
    assert message.startswith("STELLWERK_MANIFESTS: ") and "kserve-0.14.1 is not a folder" in message
    assert "put crds/ and rbac/role.yaml of KServe 0.14.1 there" in message
    folder = tmp_path / "manifests"
    (folder / "kserve-0.14.1").mkdir(parents=True)
    program = run(given, "dev", STELLWERK_MANIFESTS=str(folder))
    (role,) = program.of_kind("ConfigGroup")["kserve-role"]["files"]
    assert role.endswith("/manifests/kserve-0.14.1/rbac/role.yaml")
    message = refused("dev", stack_values("dev"), STELLWERK_MANIFESTS=str(folder))
    assert "/kserve is not a folder" in message and 'eval "$(stellwerk env)"' in message


def test_a_deadline_that_is_no_time_is_refused(refused: Refused) -> None:
    assert refused("prod", stack_values("prod"), STELLWERK_DEADLINE="soon").startswith(
        "STELLWERK_DEADLINE: soon is no time"
    )


def test_a_kubeconfig_that_is_not_there_is_refused(refused: Refused) -> None:
    """Otherwise the provider takes the cluster for unreachable, and previews without it."""
    message = refused("prod", stack_values("prod"), KUBECONFIG="/nowhere")
    assert "KUBECONFIG=/nowhere" in message and "no such file" in message
