"""A release of several files, and one that nobody has evaluated."""

import hashlib

import pytest

from delivery.errors import DeliveryError
from delivery.operations.status import status
from infra.contract.release import Releases
from tests.delivery.promote.conftest import move
from tests.support.checkout import ARTEFACTS, FIRST, MODEL, Checkout, yaml
from tests.support.session import Bench, Words
from tests.support.stores import ObjectStores

WEIGHTS = b"weights" * 1000
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
KEY = f"{MODEL}/sha256-{DIGEST}.bin"


@pytest.fixture
def imported(project: Checkout, releases: Releases, stores: ObjectStores) -> str:
    """The first release with a file beside the model's and without evaluation, served by test; the model's key."""
    file = releases.file(MODEL, FIRST)
    document = yaml().load(file)
    document["apiVersion"] = "stellwerk.dev/v2"
    document["artefact"]["files"] = [
        {"name": "weights.bin", "digest": f"sha256:{DIGEST}", "size": len(WEIGHTS), "key": KEY}
    ]
    for key in ("training", "run", "data", "evaluation"):
        del document[key]
    imported = {"by": "ml-engineers", "from": "hub.example/digits", "created": "2026-01-31T12:00:00Z"}
    document["origin"] = {"imported": imported}
    yaml().dump(document, file)
    project.edit("test", lambda config: config["models"][MODEL].update(acceptsUnevaluated=True))
    project.point("test", FIRST)
    key: str = document["artefact"]["key"]
    stores.put("test", key, ARTEFACTS[FIRST])
    return key


def accept(project: Checkout) -> None:
    project.edit("prod", lambda config: config["models"][MODEL].update(acceptsUnevaluated=True))


def test_a_release_without_evaluation_needs_leave(
    project: Checkout, bench: Bench, stores: ObjectStores, imported: str, words: Words
) -> None:
    stores.put("test", KEY, WEIGHTS)
    with pytest.raises(DeliveryError, match=r"imported without an evaluation, and prod takes no such release"):
        move(bench, words, "prod")
    assert stores.keys("prod") == []
    accept(project)
    move(bench, words, "prod")
    assert sorted(stores.keys("prod")) == sorted([imported, KEY])
    assert stores.get("prod", KEY) == WEIGHTS
    assert f"file weights.bin {KEY}: {len(WEIGHTS)} bytes copied to prod" in words


def test_a_release_that_the_pods_have_no_room_for_is_refused_before_anything_is_copied(
    project: Checkout, releases: Releases, bench: Bench, stores: ObjectStores, imported: str, words: Words
) -> None:
    file = releases.file(MODEL, FIRST)
    document = yaml().load(file)
    document["artefact"]["files"][0]["size"] = 500 << 20
    yaml().dump(document, file)
    accept(project)
    with pytest.raises(DeliveryError, match=r'models\.digits\.resources\.memory is "512Mi"; allowed: at least "661Mi"'):
        move(bench, words, "prod")
    assert stores.keys("prod") == []


def test_every_file_is_needed(
    project: Checkout, bench: Bench, stores: ObjectStores, imported: str, words: Words
) -> None:
    accept(project)
    with pytest.raises(DeliveryError, match=rf"there is no artefact .*{KEY}"):
        move(bench, words, "prod")
    assert project.pointers("prod") == (None, None)


@pytest.mark.parametrize(("content", "said"), [(WEIGHTS, "intact"), (b"x" * len(WEIGHTS), "changed"), (None, "absent")])
def test_status_looks_at_every_file(
    content: bytes | None, said: str, bench: Bench, stores: ObjectStores, imported: str
) -> None:
    if content:
        stores.put("test", KEY, content)
    assert status(bench.session())["environments"]["test"]["models"][MODEL]["artefact"] == said
