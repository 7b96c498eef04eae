"""What a killed update has left is found by its labels, and removed when nobody needs it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from delivery.clients.backend import Backend
from delivery.clients.plan import Plan, Step
from delivery.commands.app import main
from delivery.errors import DeliveryError
from delivery.operations.orphans import orphans
from delivery.session import Session
from tests.support.checkout import Checkout
from tests.support.engine import FakeEngine
from tests.support.session import Command, FakeCluster, FakeSession

CONFIG = "kubernetes:core/v1:ConfigMap"
LABELS = {"stellwerk.dev/project": "stellwerk", "stellwerk.dev/stack": "prod"}


def thing(kind: str, name: str, namespace: str = "", api: str = "v1", **metadata: Any) -> dict[str, Any]:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": LABELS, **place, **metadata}}


def step(kind: str, identity: str, declared: tuple[str | None, str] | None = None, op: str = "same") -> Step:
    return Step(f"urn:pulumi:prod::stellwerk::{kind}::{identity}", op, kind, identity, bool(identity), "", declared)


class Planned(FakeEngine):
    """An engine whose preview is given."""

    steps: tuple[Step, ...] = ()

    def preview(self, environment: str, text: str, *, shown: bool) -> Plan:
        assert not shown
        return Plan(self.steps, {})


class Cluster(FakeCluster):
    """A cluster with these objects; what is deleted is gone."""

    things: tuple[dict[str, Any], ...] = ()

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        if arguments[0] == "api-resources":
            return "configmaps\nnamespaces\nendpoints\nevents\ninferenceservices.serving.kserve.io\n"
        if arguments[0] == "get":
            self.asked.append(arguments)
            return json.dumps({"items": self.things})
        assert "delete" in arguments
        self.deleted.append(" ".join(arguments[: arguments.index("--ignore-not-found")]))
        return ""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: list[str] = []


@pytest.fixture
def engine(pulumi: FakeEngine, project: Checkout) -> Planned:
    made = Planned(project, pulumi.variables, pulumi.clock)
    made.known = {"prod"}
    return made


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def stellwerk(
    project: Checkout, engine: Planned, cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Command:
    def opened() -> Session:
        return FakeSession(project.project(), engine, Backend(engine), cluster)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments, opened, tmp_path / "state")
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, captured.out, captured.err

    return run


def test_what_neither_state_nor_program_has_is_an_orphan(stellwerk: Command, engine: Planned, cluster: Cluster) -> None:
    serving = "serving.kserve.io/v1beta1"
    engine.steps = (
        step(CONFIG, "x/known"),
        step(CONFIG, "", ("x", "declared"), "create"),
        step(CONFIG, "", (None, "somewhere"), "create"),
        step("kubernetes:core/v1:Namespace", "x"),
        # The state has it under another version of its API.
        step("kubernetes:serving.kserve.io/v1alpha1:InferenceService", "x/digits"),
        step("kubernetes:core/v1:ConfigMapPatch", "x/left"),
    )
    cluster.things = (
        *(thing("ConfigMap", name, "x") for name in ("known", "declared", "somewhere", "left")),
        thing("ConfigMap", "made", "x", ownerReferences=[{"kind": "InferenceService"}]),
        thing("ConfigMap", "known", "y"),
        thing("Namespace", "x"),
        thing("Namespace", "y"),
        thing("InferenceService", "digits", "x", serving),
        thing("InferenceService", "letters", "x", serving),
    )
    code, out, _ = stellwerk("orphans")
    assert code == 2
    assert out.splitlines() == [
        "prod: Namespace y, with everything in it",
        "prod: ConfigMap left in x",
        "prod: InferenceService letters in x",
        "prod: ConfigMap known in y",
    ]
    asked = cluster.asked[0]
    assert "stellwerk.dev/project=stellwerk,stellwerk.dev/stack=prod" in asked
    assert "configmaps,namespaces,inferenceservices.serving.kserve.io" in asked, "endpoints copy their Service's labels"
    code, out, _ = stellwerk("orphans", "--env", "prod", "--json")
    assert code == 2 and json.loads(out)["environments"]["prod"][0]["name"] == "y"


class Guests(Cluster):
    """A cluster whose user may list what is in the stack's own namespaces, and the namespaces."""

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        if arguments[0] == "api-resources":
            return f"storageclasses.storage.k8s.io\n{super().run(*arguments)}"
        if "--all-namespaces" in arguments:
            raise DeliveryError("cluster of prod: Error from server (Forbidden): configmaps is forbidden: User x")
        if "get" not in arguments:
            return super().run(*arguments)
        self.asked.append(arguments)
        if arguments[:2] == ("get", "namespaces"):
            return json.dumps({"items": [item for item in self.things if item["kind"] == "Namespace"]})
        assert arguments[:4] == ("--namespace", "y", "get", "configmaps,inferenceservices.serving.kserve.io")
        return json.dumps({"items": [item for item in self.things if item["metadata"].get("namespace") == "y"]})


def test_without_rights_elsewhere_the_stack_s_own_namespaces_are_looked_through(
    project: Checkout, engine: Planned
) -> None:
    cluster = Guests()
    cluster.things = (thing("Namespace", "y"), thing("ConfigMap", "left", "y"))
    session = FakeSession(project.project(), engine, Backend(engine), cluster)
    assert [str(item) for item in orphans(session, "prod")] == [
        "Namespace y, with everything in it", "ConfigMap left in y",
    ]  # fmt: skip
    assert all("stellwerk.dev/project=stellwerk,stellwerk.dev/stack=prod" in each for each in cluster.asked)


class Vanishing(Cluster):
    """A kind of which nothing can be listed any more, so many times after it was named."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        if arguments[0] == "get" and self.times:
            self.times -= 1
            words = "Unable to list x.dev/v1: the server could not find the requested resource"
            raise DeliveryError(f"cluster of prod: Error from server (NotFound): {words}")
        return super().run(*arguments, stdin=stdin)


def test_a_kind_that_goes_while_it_is_looked_for_is_looked_for_no_more(project: Checkout, engine: Planned) -> None:
    cluster = Vanishing(2)
    cluster.things = (thing("ConfigMap", "left", "y"),)
    session = FakeSession(project.project(), engine, Backend(engine), cluster)
    assert [str(item) for item in orphans(session, "prod")] == ["ConfigMap left in y"]
    session = FakeSession(project.project(), engine, Backend(engine), Vanishing(100))
    with pytest.raises(DeliveryError, match="could not find the requested resource"):
        orphans(session, "prod")


def test_without_orphans_nothing_is_said_to_be_wrong(stellwerk: Command, cluster: Cluster) -> None:
    assert stellwerk("orphans")[:2] == (0, "prod: no orphans\n")
    assert stellwerk("orphans", "--remove", "--yes")[0] == 0
    assert cluster.deleted == []
    code, _, err = stellwerk("orphans", "--env", "test")
    assert code == 1 and "stellwerk init test" in err


def test_orphans_are_removed_from_the_inside_out(stellwerk: Command, cluster: Cluster) -> None:
    cluster.things = (
        thing("Namespace", "y"),
        thing("CustomResourceDefinition", "things.x.dev", api="apiextensions.k8s.io/v1"),
        thing("ClusterRole", "reader", api="rbac.authorization.k8s.io/v1"),
        thing("ConfigMap", "left", "x"),
    )
    code, _, err = stellwerk("orphans", "--remove", "--yes")
    assert code == 0 and "prod: 4 removed" in err
    assert cluster.deleted == [
        "--namespace x delete configmap/left",
        "delete clusterrole.v1.rbac.authorization.k8s.io/reader",
        "delete namespace/y",
        "delete customresourcedefinition.v1.apiextensions.k8s.io/things.x.dev",
    ]


def test_nothing_is_removed_while_an_update_runs(
    stellwerk: Command, cluster: Cluster, engine: Planned, lock: Callable[[], Path]
) -> None:
    """What that has just made is in no state yet."""
    cluster.things = (thing("ConfigMap", "left", "x"),)
    held = lock()
    code, out, err = stellwerk("orphans", "--remove", "--yes")
    assert code == 1 and "an update on another machine holds the lock" in err
    assert "an update runs (somebody@another-machine" in out
    assert cluster.deleted == []
    held.unlink()
    assert stellwerk("orphans", "--remove", "--yes")[0] == 0


@pytest.fixture
def lock(engine: Planned) -> Callable[[], Path]:
    def hold() -> Path:
        assert engine.backend_folder is not None
        file = engine.backend_folder / ".pulumi/locks/organization/stellwerk/prod/x.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"pid": 1, "hostname": "another-machine", "username": "somebody"}')
        return file

    return hold


def test_an_environment_that_changed_since_is_looked_at_again(
    stellwerk: Command, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.things = (thing("ConfigMap", "left", "x"),)

    class Answer:
        """Says yes, after somebody else has made one more."""

        def readline(self) -> str:
            cluster.things = (*cluster.things, thing("ConfigMap", "new", "x"))
            return "y\n"

    monkeypatch.setattr("sys.stdin", Answer())
    code, _, err = stellwerk("orphans", "--remove")
    assert code == 1 and "the environment changed since" in err
    assert cluster.deleted == []
