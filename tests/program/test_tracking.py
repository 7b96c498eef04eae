"""The tracking server of a stack: what happens before it starts, and where backups stay."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.contract.stacks import file_name
from tests.program.conftest import Machine, Run
from tests.program.harness import PREFIX, ROOT, SENTINEL, Recording, leaks, stack_values
from tests.support.documents import whole_values


@pytest.fixture
def pod(programs: Mapping[str, Recording]) -> Any:
    return programs["dev"].of_kind("StatefulSet")["tracking"]["spec"]["template"]["spec"]


def test_schema_backup_upgrade_come_before_the_server(pod: Any) -> None:
    check, backup, upgrade = pod["initContainers"]
    (server,) = pod["containers"]
    # The versions that decide are the server's own.
    assert check["image"] == upgrade["image"] == server["image"] != backup["image"]
    assert (check["command"][2], backup["command"][1], upgrade["command"][2]) == ("check", "save", "upgrade")
    assert check["command"][-1] == backup["command"][-1] == upgrade["command"][-1]


def test_backups_lie_on_a_volume_of_their_own(programs: Mapping[str, Recording], pod: Any) -> None:
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"backups": "tracking-backups"}
    job = programs["dev"].of_kind("CronJob")["tracking-restore"]["spec"]
    assert job["suspend"] is True
    volumes = job["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    assert {"claimName": "tracking-backups"} in [volume.get("persistentVolumeClaim") for volume in volumes]


def test_server_and_restore_reach_the_database_and_nobody_else(programs: Mapping[str, Recording]) -> None:
    policy = programs["dev"].of_kind("NetworkPolicy")["tracking-database-ingress"]["spec"]
    peers = {peer["podSelector"]["matchLabels"]["app"] for rule in policy["ingress"] for peer in rule["from"]}
    assert peers == {"tracking", "tracking-restore"}


@pytest.fixture
def external(run: Run) -> Recording:
    """dev with a tracking server that runs elsewhere."""
    given = stack_values("dev")
    given["tracking"] = {"mode": "external", "url": "https://mlflow.example.com"}
    given["credentials"]["tracking"] = {"username": "vision", "password": f"{SENTINEL}-tracking"}
    return run(given, "dev")


def test_training_reaches_a_server_that_runs_elsewhere_with_its_login(external: Recording) -> None:
    assert not [name for name in external.of_kind("StatefulSet") if name.startswith("tracking")]
    job = external.of_kind("CronJob")["train-digits"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    variables = {each["name"]: each for each in job["containers"][0]["env"]}
    assert variables["MLFLOW_TRACKING_URI"]["value"] == "https://mlflow.example.com"
    assert variables["MLFLOW_TRACKING_SERVER_CERT_PATH"]["value"] == variables["AWS_CA_BUNDLE"]["value"]
    for key in ("username", "password"):
        source = variables[f"MLFLOW_TRACKING_{key.upper()}"]["valueFrom"]["secretKeyRef"]
        assert source["key"] == f"tracking-{key}"
    assert list(leaks(external.inputs)) == []


def test_namespaces_of_other_stacks_reach_the_server_where_they_are_named(run: Run) -> None:
    given = stack_values("dev")
    given["tracking"] = {"mode": "embedded", "clients": ["vision-training"]}
    assert _clients(run(given, "dev")) == ["dev-training", "vision-training"]


@pytest.mark.parametrize(
    ("changed", "clients"),
    [
        ({}, ["dev-training", "vision-lab-training"]),
        ({"team": None}, ["dev-training", "lab-training"]),
        ({"tracking": {"mode": "off"}}, ["dev-training"]),
        ({"tracking": "external"}, ["dev-training"]),
        ({"cluster": {"context": "another", "address": "198.18.0.1", "shared": True}}, ["dev-training"]),
    ],
)
def test_environments_of_the_checkout_that_use_the_server_reach_it(
    changed: dict[str, Any], clients: list[str], run: Run, machine: Machine
) -> None:
    url = "http://tracking.dev-platform.svc.cluster.local:5000"
    values = {**whole_values("test"), "team": "vision", "tracking": {"mode": "external", "url": url}, **changed}
    file = machine.root / file_name("lab")
    file.write_text(json.dumps({"config": {f"{PREFIX}{key}": value for key, value in values.items()}}))
    try:
        assert _clients(run(stack_values("dev"), "dev")) == clients
    finally:
        file.unlink()


def _clients(program: Recording) -> list[str]:
    (rule,) = program.of_kind("NetworkPolicy")["tracking-ingress"]["spec"]["ingress"]
    return [peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for peer in rule["from"]]


@pytest.fixture
def boards(run: Run) -> Recording:
    """dev with TensorBoard."""
    given = stack_values("dev")
    given["tracking"]["tensorboard"] = True
    given["credentials"]["tensorboard"] = {"password": f"{SENTINEL}-board", "hash": f"{SENTINEL}-hash"}
    return run(given, "dev")


def test_tensorboard_reads_the_runs_artefacts_and_the_gateway_alone_connects_to_it(boards: Recording) -> None:
    program = boards
    board = program.of_kind("StatefulSet")["tensorboard"]
    assert board["metadata"]["name"] == "tensorboard", "a role names its pod"
    server, fetcher = board["spec"]["template"]["spec"]["containers"]
    assert server["image"] == fetcher["image"]
    assert {mount["name"]: mount["readOnly"] for mount in server["volumeMounts"]}["logs"] is True
    variables = {each["name"]: each.get("value") for each in fetcher["env"]}
    assert variables["EVENTS_PREFIX"] == "mlflow/"
    assert "reader" in variables["AWS_ENDPOINT_URL_S3"], "it only reads"
    (rule,) = program.of_kind("NetworkPolicy")["tensorboard-ingress"]["spec"]["ingress"]
    (peer,) = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "dev-platform"}
    rules = program.of_kind("Role")["tenant-platform-developers"]["rules"]
    assert any("tensorboard-0" in rule.get("resourceNames", []) for rule in rules)


def test_the_gateway_asks_for_a_login_before_it_shows_tensorboard(boards: Recording) -> None:
    http = boards.of_kind("ConfigMap")["gateway-routes"]["data"]["routes.yaml"]["[JSON]"]["http"]
    router = http["routers"]["page.tensorboard"]
    assert router["rule"] == "Path(`/tensorboard`) || PathPrefix(`/tensorboard/`)"
    login = http["middlewares"]["login-page.tensorboard"]["basicAuth"]["usersFile"]
    assert "login-page.tensorboard" in router["middlewares"]
    assert "login-page.tensorboard" not in http["routers"]["digits"]["middlewares"]
    (server,) = http["services"]["page.tensorboard"]["loadBalancer"]["servers"]
    assert server["url"] == "http://tensorboard.dev-platform.svc.cluster.local:6006"
    board, _ = boards.of_kind("StatefulSet")["tensorboard"]["spec"]["template"]["spec"]["containers"]
    assert "--path_prefix=/tensorboard" in board["args"]
    pod = boards.of_kind("Deployment")["gateway"]["spec"]["template"]["spec"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "users"]
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "users"]
    secret = boards.of_kind("Secret")["gateway-users"]
    assert volume["secret"]["secretName"] == secret["metadata"]["name"]
    assert login == f"{mount['mountPath']}/page.tensorboard"
    assert list(leaks(boards.inputs)) == []


def test_a_gateway_of_the_company_s_does_not_show_tensorboard(run: Run) -> None:
    given = stack_values("dev")
    given["tracking"]["tensorboard"] = True
    given["credentials"]["tensorboard"] = {"password": "word", "hash": "hash"}
    given["gateway"] = {
        "mode": "gatewayApi", "url": "https://models.example.com", "parent": {"name": "public", "namespace": "edge"},
    }  # fmt: skip
    assert list(run(given, "dev").of_kind("HTTPRoute")) == ["gateway-digits"], "it would ask nobody for a login"


@pytest.fixture
def images(machine: Machine) -> Iterator[Path]:
    """The folder of the images, in the machine's checkout."""
    folder = "components/tracking/images"
    yield Path(shutil.copytree(ROOT / folder, machine.root / folder))
    shutil.rmtree(machine.root / "components")


def test_each_server_is_built_from_its_own_files(images: Path, boards: Recording, machine: Machine) -> None:
    for name in ("mlflow", "tensorboard"):
        folder = machine.root / ".contexts" / name
        files = {str(file.relative_to(folder).parent) for file in folder.rglob("*") if file.is_file()}
        assert files == {".", name}, "a change of the other one would be a change of this one"
        assert boards.of_kind("Image")[f"{name}-image"]["buildArgs"]["SERVER"] == name


def test_without_the_value_there_is_no_tensorboard(programs: Mapping[str, Recording]) -> None:
    assert "tensorboard" not in programs["dev"].of_kind("StatefulSet")
    assert "gateway-users" not in programs["dev"].of_kind("Secret")
