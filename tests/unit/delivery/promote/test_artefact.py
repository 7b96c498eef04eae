"""The artefact of a promoted release is copied to the target's store, by real stores."""

import pytest

from delivery import stackfile, store
from delivery.errors import DeliveryError
from tests.unit.delivery.conftest import FIRST, MODEL, Engine, ObjectStores, Project, Words
from tests.unit.delivery.promote.conftest import move


@pytest.fixture(autouse=True)
def moved() -> None:
    """Not replaced here."""


def test_bytes_are_moved_once(
    project: Project, pulumi: Engine, stores: ObjectStores, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("test", FIRST)
    copies: list[str] = []

    def copy(source: store.Store, target: store.Store, artefact: object) -> int:
        copies.append(f"{source.bucket} to {target.bucket}")
        return 12345

    monkeypatch.setattr(store, "copy", copy)
    move(words, "prod")
    assert copies == [f"{stores.buckets['test']} to {stores.buckets['prod']}"]
    assert "12345 bytes copied to prod" in words
    stores.put("prod", "digits/sha256-0a1b2c3d" + "0" * 56 + ".onnx", b"x" * 12345)
    stackfile.write("prod", stackfile.point("prod", MODEL, None, None))
    move(words, "prod")
    assert len(copies) == 1
    assert "0 bytes copied to prod" in words


def test_an_artefact_that_the_source_lost_stops_the_promotion(
    project: Project, pulumi: Engine, stores: ObjectStores, words: Words
) -> None:
    project.point("test", FIRST)
    before = project.text("prod")
    with pytest.raises(DeliveryError, match=r"object store of test .*: there is no artefact"):
        move(words, "prod")
    assert project.text("prod") == before
    assert pulumi.shown == []
