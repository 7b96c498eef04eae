"""`stellwerk drift`: the engine's steps in, the resources and an exit code out; repairing asks and forces."""

import io
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delivery.clients.backend import Backend
from delivery.clients.engine import Engine
from delivery.clock import Clock
from delivery.commands.app import main
from delivery.errors import DeliveryError
from delivery.operations import drift
from delivery.session import Session
from tests.support.checkout import Checkout
from tests.support.session import FakeCluster, FakeSession, Words

Command = Callable[..., tuple[int, str, str]]
URN = "urn:pulumi:dev::stellwerk::stellwerk:index:Tenant$kubernetes:core/v1:ResourceQuota::tenant-serving-quota"


def outcome(op: str, kind: str, identity: str, *fields: str) -> dict[str, Any]:
    """What the engine says of a resource after it was read."""
    difference = {field: {"kind": "update", "inputDiff": False} for field in fields} or None
    old = {"urn": URN, "type": kind, "id": identity, "inputs": {}, "outputs": {}}
    return {"op": op, "urn": URN, "oldState": old, "detailedDiff": difference}


GONE = outcome("delete", "kubernetes:serving.kserve.io/v1beta1:InferenceService", "dev-serving/digits")
CHANGED = outcome(
    "update", "kubernetes:core/v1:ResourceQuota", "dev-serving/quota", "spec.hard.pods", "metadata.labels"
)
CLUSTER_WIDE = outcome("delete", "kubernetes:core/v1:Namespace", "dev-training")
WELL = outcome("refresh", "kubernetes:core/v1:ConfigMap", "dev-serving/config")
RULE = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '{"a": "1"}'}


def held(kind: str, identity: str, **inputs: Any) -> dict[str, Any]:
    """A resource in the engine's state."""
    return {"urn": URN, "type": f"kubernetes:{kind}", "id": identity, "inputs": inputs, "outputs": {}}


STATE = [
    held("rbac.authorization.k8s.io/v1:Role", "dev-serving/reader", metadata={"name": "reader"}, rules=[RULE]),
    held("core/v1:Secret", "dev-serving/login", stringData=SECRET),
    held("core/v1:ResourceQuota", "dev-serving/quota", spec={"hard": {"pods": 40}}),
    held("apps/v1:DeploymentPatch", "dev-serving/predictor", spec={"replicas": 1}),
    {"urn": URN, "type": "stellwerk:index:Tenant", "inputs": {}},
]


def extended(api: str, kind: str, name: str, fields: dict[str, Any], **content: Any) -> dict[str, Any]:
    """An object in whose fields somebody has written by hand."""
    entry = {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": fields}
    metadata = {"name": name, "namespace": "dev-serving", "resourceVersion": "7", "managedFields": [entry]}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **content}


ROLE = extended("rbac.authorization.k8s.io/v1", "Role", "reader", {"f:rules": {}}, rules=[RULE, RULE])
LOGIN = extended("v1", "Secret", "login", {"f:data": {"f:b": {}, "f:c": {}}}, data={"a": "MQ==", "b": "", "c": ""})
QUOTA = extended("v1", "ResourceQuota", "quota", {"f:spec": {"f:hard": {"f:pods": {}, "f:x": {}}}},
                 spec={"hard": {"pods": "39", "x": "1"}})  # fmt: skip
OTHERS = extended("apps/v1", "Deployment", "predictor", {"f:spec": {"f:paused": {}}}, spec={"paused": True})


@pytest.fixture
def engine(project: Checkout, tmp_path: Path, target_variables: dict[str, str]) -> Engine:
    """The real engine's client, with a script in the place of pulumi."""
    return Engine(
        project.root, {**os.environ, **target_variables, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}, Clock()
    )


@pytest.fixture
def opened(project: Checkout, engine: Engine, cluster: FakeCluster) -> Callable[[], Session]:
    """Opens a session."""
    return lambda: FakeSession(project.project(), engine, cluster=cluster)


@pytest.fixture
def pulumi(engine: Engine, tmp_path: Path) -> Callable[..., list[str]]:
    """Puts a script in the place of pulumi; what it was called with, when asked again."""
    folder, called = tmp_path / "bin", tmp_path / "called"
    folder.mkdir()
    called.touch()

    def say(*steps: dict[str, Any], answers: str = "exit 0", up: str = "exit 0") -> list[str]:
        said = called.read_text().splitlines()
        (tmp_path / "answer").write_text(json.dumps({"steps": [WELL, *steps], "duration": 1}))
        (tmp_path / "exported").write_text(json.dumps({"version": 3, "deployment": {"resources": STATE}}))
        script = f"""#!/bin/sh
            case "$1 $2" in
            "stack ls") echo '[{{"name": "dev"}}, {{"name": "prod"}}]'; exit;;
            "stack export") cat {tmp_path}/exported; exit;;
            "stack import") cat > {tmp_path}/imported; exit;;
            esac
            case "$1" in
            refresh) cat {tmp_path}/answer; {answers};;
            up) echo "$PULUMI_K8S_ENABLE_PATCH_FORCE $*" >> {called}; {up};;
            *) echo "$PULUMI_K8S_ENABLE_PATCH_FORCE $*" >> {called};;
            esac
        """
        (folder / "pulumi").write_text(script)
        (folder / "pulumi").chmod(0o755)
        return said

    return say


@pytest.fixture
def stellwerk(opened: Callable[[], Session], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process; its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments, opened, tmp_path / "state")
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return run


def test_nothing_was_changed(pulumi: Callable[..., list[str]], stellwerk: Command) -> None:
    pulumi()
    assert stellwerk("drift")[:2] == (0, "dev: no drift\nprod: no drift\n")
    code, out, _ = stellwerk("drift", "--json")
    assert (code, json.loads(out)) == (0, {"environments": {"dev": [], "prod": []}})


def test_environments_are_compared_side_by_side(pulumi: Any, stellwerk: Command, tmp_path: Path) -> None:
    count = f"echo >> {tmp_path}/begun; for _ in $(seq 600); do [ $(wc -l < {tmp_path}/begun) = 2 ] && exit; sleep 0.1"
    pulumi(answers=f"{count}; done; exit 255")
    assert stellwerk("drift")[0] == 0


def test_each_resource_is_named_with_its_fields(pulumi: Callable[..., list[str]], stellwerk: Command) -> None:
    pulumi(GONE, CHANGED, CLUSTER_WIDE)
    code, out, _ = stellwerk("drift", "--env", "dev")
    assert code == 2
    assert out.splitlines() == [
        "dev: Namespace dev-training deleted",
        "dev: ResourceQuota quota in dev-serving changed: metadata.labels, spec.hard.pods",
        "dev: InferenceService digits in dev-serving deleted",
    ]
    code, out, _ = stellwerk("drift", "--env", "dev", "--json")
    (_, quota, _) = json.loads(out)["environments"]["dev"]
    assert (code, quota) == (2, {
        "type": "kubernetes:core/v1:ResourceQuota", "name": "quota", "namespace": "dev-serving",
        "change": "changed", "fields": ["metadata.labels", "spec.hard.pods"],
    })  # fmt: skip


def test_what_was_added_by_hand_is_named_as_well(
    pulumi: Callable[..., list[str]], stellwerk: Command, cluster: FakeCluster
) -> None:
    """The engine says nothing of it, or names another field of the same object."""
    pulumi(CHANGED)
    cluster.listed = lambda _: [ROLE, LOGIN, QUOTA, OTHERS]
    code, out, _ = stellwerk("drift", "--env", "dev")
    assert code == 2
    assert out.splitlines() == [
        "dev: ResourceQuota quota in dev-serving changed: metadata.labels, spec.hard.pods, spec.hard.x",
        "dev: Secret login in dev-serving changed: data.b, data.c",
        "dev: Role reader in dev-serving changed: rules",
    ]
    listed = [words for words in cluster.asked if "--show-managed-fields" in words]
    assert len(listed) == 1, "one request for all of them"
    assert "stellwerk.dev/project=stellwerk,stellwerk.dev/stack=dev" in listed[0]


def test_repair_takes_back_what_was_added(
    pulumi: Callable[..., list[str]], stellwerk: Command, cluster: FakeCluster, tmp_path: Path
) -> None:
    """What is not declared at all no update removes; a declared field is applied again, when its object is marked."""
    pulumi()
    cluster.listed = lambda _: [ROLE, LOGIN]
    code, _, err = stellwerk("drift", "--env", "dev", "--repair", "--yes")
    assert code == 0
    assert "dev: to be taken back: Secret login in dev-serving changed: data.b, data.c" in err
    (patch,) = [words for words in cluster.asked if "patch" in words]
    assert patch[:4] == ("--namespace", "dev-serving", "patch", "secret/login")
    assert json.loads(patch[-1]) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/data/c"},
        {"op": "remove", "path": "/data/b"},
    ]
    imported = json.loads((tmp_path / "imported").read_text())["deployment"]["resources"]
    assert [item["id"] for item in imported if "apply-again" in json.dumps(item)] == ["dev-serving/reader"]
    words = [line.split()[1:3] for line in pulumi()]
    assert words == [["preview", "--refresh"], ["up", "--refresh"], ["up", "--yes"]]


def test_repair_removes_nothing_but_what_was_shown(
    pulumi: Callable[..., list[str]], opened: Callable[[], Session], cluster: FakeCluster, words: Words
) -> None:
    pulumi()
    cluster.listed = lambda _: [LOGIN]

    def answered() -> bool:
        cluster.listed = lambda _: [LOGIN, ROLE]
        return True

    with pytest.raises(DeliveryError, match="the environment changed since the preview, look again; nothing was"):
        drift.repair(opened(), "dev", answered, words.console)
    assert [line.split()[1] for line in pulumi()] == ["preview"]


def test_without_repair_the_engine_only_looks(pulumi: Callable[..., list[str]], stellwerk: Command) -> None:
    pulumi(GONE)
    stellwerk("drift")
    assert pulumi() == []


def test_repair_previews_and_applies_over_the_change(pulumi: Callable[..., list[str]], stellwerk: Command) -> None:
    pulumi(CHANGED)
    assert stellwerk("drift", "--env", "dev", "--repair", "--yes")[0] == 0
    preview, up = pulumi()
    assert preview.startswith("true preview --refresh") and "--stack dev" in preview
    assert up.startswith("true up --refresh") and "--stack dev" in up


def test_repair_asks_first(
    pulumi: Callable[..., list[str]], stellwerk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi(CHANGED)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    code, _, err = stellwerk("drift", "--env", "dev", "--repair")
    assert code == 1 and "nothing was changed" in err
    assert [line.split()[1] for line in pulumi()] == ["preview"]


def test_repair_applies_nothing_but_what_was_shown(
    project: Checkout, pulumi: Callable[..., list[str]], opened: Callable[[], Session], words: Words
) -> None:
    """While the question waits somebody edits the file, or another update writes the state."""
    pulumi(CHANGED)

    def answered() -> bool:
        project.edit("dev", lambda config: config["quota"].update(pods=41))
        return True

    with pytest.raises(DeliveryError, match="the environment changed since the preview, look again; nothing was"):
        drift.repair(opened(), "dev", answered, words.console)
    assert [line.split()[1] for line in pulumi()] == ["preview"]


def test_repair_waits_for_a_promotion(
    pulumi: Callable[..., list[str]], engine: Engine, opened: Callable[[], Session], words: Words
) -> None:
    """That writes the file before the engine has its lock: applied by a repair, it could not be undone."""
    pulumi(CHANGED)
    with Backend(engine).locked("dev", words.console):
        repair = threading.Thread(target=drift.repair, args=(opened(), "dev", lambda: True, words.console))
        repair.start()
        while "waiting for another change of dev to end" not in words:
            time.sleep(0.01)
        repair.join(0.1)
        assert repair.is_alive()
        assert pulumi(CHANGED) == []
    repair.join(300)
    assert [line.split()[1] for line in pulumi()] == ["preview", "up"]


def test_a_repair_that_fails_says_how_to_go_on(pulumi: Callable[..., list[str]], stellwerk: Command) -> None:
    """The engine's refresh has written the change into the state: there is no drift any more."""
    pulumi(CHANGED, up="exit 255")
    code, _, err = stellwerk("drift", "--env", "dev", "--repair", "--yes")
    assert code == 1 and "pulumi up --stack dev" in err


def test_repair_of_what_is_well_does_nothing(pulumi: Callable[..., list[str]], stellwerk: Command) -> None:
    pulumi()
    assert stellwerk("drift", "--repair", "--yes")[0] == 0
    assert pulumi() == []


def test_what_can_not_be_read_is_no_drift(pulumi: Callable[..., list[str]], stellwerk: Command) -> None:
    """Exit code 1, not 0 and not 2: nobody knows."""
    pulumi(answers="echo 'error: the cluster went away' >&2; exit 255")
    code, out, err = stellwerk("drift", "--env", "dev")
    assert (code, out) == (1, "")
    assert "the cluster went away" in err


def test_an_environment_that_was_never_made(pulumi: Callable[..., list[str]], stellwerk: Command) -> None:
    pulumi()
    code, _, err = stellwerk("drift", "--env", "test")
    assert code == 1 and "stellwerk init test" in err
