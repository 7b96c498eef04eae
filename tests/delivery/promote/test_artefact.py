"""The artefact of a promoted release is copied to the target's store, by real stores."""

import pytest

from delivery.clients import store
from delivery.errors import DeliveryError
from delivery.project import Pointers
from infra.contract.release import Releases
from tests.delivery.promote.conftest import move
from tests.support.checkout import ARTEFACTS, FIRST, MODEL, SECOND, Checkout
from tests.support.engine import FakeEngine
from tests.support.examples import name_examples
from tests.support.session import Bench, Words
from tests.support.stores import ObjectStores


def test_bytes_are_moved_once(
    project: Checkout, bench: Bench, releases: Releases, stores: ObjectStores, words: Words
) -> None:
    project.point("test", FIRST)
    key = releases.load(MODEL, FIRST).artefact.key
    stores.put("test", key, ARTEFACTS[FIRST])
    move(bench, words, "prod")
    assert stores.get("prod", key) == ARTEFACTS[FIRST]
    assert "12345 bytes copied to prod" in words
    again = project.project()
    again.write("prod", again.point("prod", MODEL, Pointers(None, None)))
    move(bench, words, "prod")
    assert "0 bytes copied to prod" in words


def test_where_releases_enter_the_artefact_comes_from_the_first_environment_unless_it_is_there(
    project: Checkout, bench: Bench, releases: Releases, stores: ObjectStores, words: Words
) -> None:
    """Another team's environment: what it has trained itself is in its store, what was imported is not."""
    project.edit("prod", lambda config: config.update(releasesFrom=None))
    trained, imported = (releases.load(MODEL, release).artefact.key for release in ARTEFACTS)
    stores.put("prod", trained, ARTEFACTS[FIRST])
    stores.put("dev", imported, ARTEFACTS[SECOND])
    for release in ARTEFACTS:
        move(bench, words, "prod", release=release)
        assert project.pointers("prod")[0] == release
    assert stores.get("prod", imported) == ARTEFACTS[SECOND]
    assert trained not in stores.keys("dev")


def test_an_artefact_that_the_source_lost_stops_the_promotion(
    project: Checkout, pulumi: FakeEngine, bench: Bench, stores: ObjectStores, words: Words
) -> None:
    project.point("test", FIRST)
    before = project.text("prod")
    with pytest.raises(DeliveryError, match=r"object store of test .*: there is no artefact"):
        move(bench, words, "prod")
    assert project.text("prod") == before
    assert pulumi.shown == []


def test_an_object_of_the_same_size_is_not_trusted(
    project: Checkout, bench: Bench, releases: Releases, stores: ObjectStores, words: Words
) -> None:
    project.point("test", FIRST)
    artefact = releases.load(MODEL, FIRST).artefact
    stores.put("test", artefact.key, ARTEFACTS[FIRST])
    stores.put("prod", artefact.key, b"x" * artefact.size)
    move(bench, words, "prod")
    assert stores.get("prod", artefact.key) == ARTEFACTS[FIRST]
    assert f"prod: {artefact.key} was changed in its store; replacing it" in words
    assert "12345 bytes copied to prod" in words
    with bench.session().store("prod") as opened:
        assert store.holds(opened, artefact)
        stores.put("prod", artefact.key, b"y" * artefact.size)
        assert not store.holds(opened, artefact)


def test_the_example_rows_go_with_the_artefact(
    project: Checkout, pulumi: FakeEngine, bench: Bench, releases: Releases, stores: ObjectStores, words: Words
) -> None:
    key, rows = name_examples(releases.file(MODEL, FIRST), MODEL)
    project.point("test", FIRST)
    stores.put("test", releases.load(MODEL, FIRST).artefact.key, ARTEFACTS[FIRST])
    with pytest.raises(DeliveryError, match=rf"object store of test .*: there is no .*{key}"):
        move(bench, words, "prod")
    assert pulumi.shown == []
    stores.put("test", key, rows)
    move(bench, words, "prod")
    assert stores.get("prod", key) == rows
    assert f"examples {key}: {len(rows)} bytes copied to prod" in words
