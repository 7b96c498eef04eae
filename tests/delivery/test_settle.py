"""What a killed update has changed is applied again, and nothing else."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from delivery.clients.backend import Backend
from delivery.clients.engine import Engine
from delivery.clients.owned import touched
from delivery.errors import DeliveryError
from delivery.operations.settle import mark, wait
from delivery.session import Session
from tests.support.checkout import Checkout
from tests.support.engine import FakeEngine
from tests.support.session import FakeCluster, FakeSession, Words

CONFIG = "kubernetes:core/v1:ConfigMap"
LABELS = {"stellwerk.dev/project": "stellwerk", "stellwerk.dev/stack": "prod"}
OWN, SEALED = "stellwerk/stellwerk/prod", {"ciphertext": "v1:x"}
KILLED = 1_790_000_000.0
EARLIER, LATER = "2026-09-21T14:00:00Z", "2026-09-21T14:30:00Z"


def thing(name: str, *entries: tuple[str, str]) -> dict[str, Any]:
    managed = [{"manager": manager, "time": time, "operation": "Apply"} for manager, time in entries]
    metadata = {"name": name, "namespace": "x", "labels": LABELS, "managedFields": managed}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def resource(name: str, kind: str = CONFIG, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    part = {"metadata": metadata or {"name": name}, "data": {"a": "1"}}
    outputs = {**copy.deepcopy(part), "__inputs": copy.deepcopy(part)}
    urn = f"urn:pulumi:prod::stellwerk::{kind}::{name}"
    return {"urn": urn, "type": kind, "id": f"x/{name}", "inputs": part, "outputs": outputs}


class Cluster(FakeCluster):
    """A cluster with these objects."""

    things: tuple[dict[str, Any], ...] = ()

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        self.asked.append(arguments)
        return "configmaps\n" if arguments[0] == "api-resources" else json.dumps({"items": self.things})


class Reading(FakeEngine):
    """An engine that reads the cluster and takes over states."""

    imported: str | None = None

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        if arguments == ("stack", "import", "--stack", "prod"):
            self.imported = stdin
            return ""
        return super().run(*arguments, stdin=stdin)


@pytest.fixture
def engine(pulumi: FakeEngine, project: Checkout) -> Reading:
    return Reading(project, pulumi.variables, pulumi.clock)


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.things = (thing("new", (OWN, LATER)), thing("old", (OWN, EARLIER)))
    return made


@pytest.fixture
def work(project: Checkout, engine: Engine, cluster: Cluster) -> Session:
    return FakeSession(project.project(), engine, Backend(engine), cluster)


@pytest.fixture
def state(engine: Engine) -> Path:
    assert engine.backend_folder is not None
    file = engine.backend_folder / ".pulumi/stacks/stellwerk/prod.json"
    file.parent.mkdir(parents=True)
    latest = {"resources": [resource("new"), resource("old")]}
    file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
    return file


def kill(engine: Engine) -> None:
    """Leave the lock of an update that was killed."""
    assert engine.backend_folder is not None
    place = engine.backend_folder / ".pulumi/locks/organization/stellwerk/prod/x.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    moment = "2026-09-21T14:13:20Z"
    place.write_text(json.dumps({"pid": 2**22 + 1, "hostname": os.uname().nodename, "timestamp": moment}))


def test_only_what_the_engine_has_changed_since_is_touched(cluster: Cluster) -> None:
    cluster.things = (
        thing("new", (OWN, LATER)),
        thing("both", (OWN, EARLIER), ("pulumi-kubernetes-1a2b", LATER)),
        thing("old", (OWN, EARLIER)),
        thing("another", (OWN, EARLIER), ("kube-controller-manager", LATER)),
        thing("nobody"),
    )
    # Who applied what was there already has no time.
    without = thing("unchanged", ("pulumi-kubernetes-1a2b", LATER), (OWN, EARLIER))
    del without["metadata"]["managedFields"][0]["time"]
    cluster.things += (without,)
    assert touched(cluster, "stellwerk", "prod", KILLED) == {("", "ConfigMap", "x", name) for name in ("new", "both")}


def test_after_a_killed_update_the_cluster_is_read_and_what_that_has_changed_is_marked(
    work: Session, engine: Reading, state: Path, words: Words
) -> None:
    kill(engine)
    wait(work, "prod", words.console)
    assert engine.refreshed == [("prod",)]
    assert engine.imported is not None
    new, old = json.loads(engine.imported)["deployment"]["resources"]
    assert old == resource("old")
    parts = (new["inputs"], new["outputs"], new["outputs"]["__inputs"])
    assert [list(part["metadata"]["annotations"]) for part in parts] == [["stellwerk.dev/apply-again"]] * 3
    assert "the last update of prod was killed" in words
    # Once is enough.
    engine.imported = None
    wait(work, "prod", words.console)
    assert (engine.imported, len(engine.refreshed)) == (None, 1)


def test_without_a_killed_update_nothing_is_read(
    work: Session, engine: Reading, cluster: Cluster, words: Words
) -> None:
    wait(work, "prod", words.console)
    assert (engine.refreshed, cluster.asked, words.stream.getvalue()) == ([], [], "")


def test_what_could_not_be_read_is_read_by_the_next_command(
    work: Session, engine: Reading, state: Path, words: Words
) -> None:
    kill(engine)
    engine.results["refresh"] = [False, True]
    with pytest.raises(DeliveryError, match="the refresh of prod failed, see above; nothing was changed"):
        wait(work, "prod", words.console)
    wait(work, "prod", words.console)
    assert engine.imported is not None


def test_a_mark_spares_what_is_secret_or_no_object() -> None:
    resources = [
        resource("a"), resource("a", f"{CONFIG}Patch"), resource("a", "stellwerk:index:Tenant"),
        resource("a", metadata=SEALED), resource("a", metadata={"annotations": SEALED}),
    ]  # fmt: skip
    before = copy.deepcopy(resources[1:])
    assert mark({"resources": resources}, {("", "ConfigMap", "x", "a")}) == 1
    assert resources[1:] == before
