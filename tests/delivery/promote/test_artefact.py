"""The artefact of a promoted release is copied to the target's store, by real stores."""

import re
from hashlib import sha256

import pytest

from delivery import stackfile
from delivery.clients import store
from delivery.errors import DeliveryError
from delivery.operations import promote
from tests.delivery.conftest import FIRST, FIXTURES, MODEL, Engine, ObjectStores, Project, Words
from tests.delivery.promote.conftest import move
from tests.support.examples import name_examples


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
    monkeypatch.setattr(store, "content", lambda *_: store.Content.INTACT)
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


def test_an_object_of_the_same_size_is_not_trusted(
    project: Project, pulumi: Engine, stores: ObjectStores, words: Words
) -> None:
    content = b"m" * 12345
    digest = sha256(content).hexdigest()
    release, key = f"v1-{digest[:8]}", f"digits/sha256-{digest}.onnx"
    text = (FIXTURES / MODEL / f"{FIRST}.yaml").read_text()
    old = re.findall(r"sha256:(0a1b2c3d[0-9a-f]{56})", text)[0]
    file = project.root / "stacks" / "releases" / MODEL / f"{release}.yaml"
    file.write_text(text.replace(old, digest).replace(FIRST, release))
    project.point("test", release)
    stores.put("test", key, content)
    stores.put("prod", key, b"x" * 12345)
    move(words, "prod")
    assert stores.get("prod", key) == content
    assert f"prod: {key} was changed in its store; replacing it" in words
    assert "12345 bytes copied to prod" in words
    artefact = promote.RELEASES.load(MODEL, release).artefact
    assert store.intact("prod", artefact)
    stores.put("prod", key, b"y" * 12345)
    assert not store.intact("prod", artefact)


def test_the_example_rows_go_with_the_artefact(
    project: Project, pulumi: Engine, stores: ObjectStores, words: Words
) -> None:
    content = b"m" * 12345
    digest = sha256(content).hexdigest()
    release = f"v3-{digest[:8]}"
    text = (FIXTURES / MODEL / f"{FIRST}.yaml").read_text()
    old = re.findall(r"sha256:(0a1b2c3d[0-9a-f]{56})", text)[0]
    file = project.root / "stacks" / "releases" / MODEL / f"{release}.yaml"
    file.write_text(text.replace(old, digest).replace(FIRST, release))
    key, rows = name_examples(file, MODEL)
    project.point("test", release)
    stores.put("test", f"digits/sha256-{digest}.onnx", content)
    with pytest.raises(DeliveryError, match=rf"object store of test .*: there is no .*{key}"):
        move(words, "prod")
    assert pulumi.shown == []
    stores.put("test", key, rows)
    move(words, "prod")
    assert stores.get("prod", key) == rows
    assert f"examples {key}: {len(rows)} bytes copied to prod" in words
