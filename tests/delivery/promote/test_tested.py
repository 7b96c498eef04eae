"""An environment with a test set takes what passes the release's gates on it, and says so in evidence."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest

from delivery.clients.endpoint import RELEASE_HEADER
from delivery.errors import DeliveryError
from delivery.operations.data import push_test_set
from infra.contract.problems import ConfigError
from infra.contract.release import Releases
from infra.values import from_file
from tests.delivery.promote.conftest import move
from tests.support.checkout import ARTEFACTS, FIRST, MODEL, Checkout, yaml
from tests.support.examples import examples
from tests.support.linear import Layer, to_onnx
from tests.support.session import Bench, Words
from tests.support.stores import ObjectStores


def rows(right: int) -> dict[str, Any]:
    """A hundred rows that say their digit by a bright pixel; the labels of the first `right` are so."""
    document = examples(MODEL, 100)
    pixels = np.zeros((100, 64))
    pixels[np.arange(100), np.arange(100) % 10] = 16
    document["inputs"][0]["data"] = pixels.reshape(-1).tolist()
    document["labels"] = [(row + (row >= right)) % 10 for row in range(100)]
    return document


@pytest.fixture
def served(project: Checkout, releases: Releases, stores: ObjectStores) -> str:
    """A release of a real model that test serves; its id."""
    weight = np.eye(64, 10, dtype=np.float32)
    content = to_onnx(Layer(weight, np.zeros(10, np.float32)), MODEL, "pixels", "scores")
    digest = sha256(content).hexdigest()
    identity = f"v3-{digest[:8]}"
    text = releases.file(MODEL, FIRST).read_text()
    text = text.replace(FIRST, identity).replace(sha256(ARTEFACTS[FIRST]).hexdigest(), digest)
    text = text.replace("size: 12345", f"size: {len(content)}")
    releases.file(MODEL, identity).write_text(text)
    stores.put("test", f"{MODEL}/sha256-{digest}.onnx", content)
    project.point("test", identity)
    return identity


@pytest.fixture
def served_in_parts(project: Checkout, served: str, releases: Releases, stores: ObjectStores, tmp_path: Path) -> str:
    """The same model as a release whose tensors are in a file beside it; its id."""
    text = releases.file(MODEL, served).read_text()
    key = yaml().load(text)["artefact"]["key"]
    model = onnx.load_model_from_string(stores.get("test", key))
    onnx.save_model(
        model, tmp_path / "parts.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    document = yaml().load(text.replace("stellwerk.dev/v1", "stellwerk.dev/v2"))
    for name in ("parts.onnx", "weights.bin"):
        content = (tmp_path / name).read_bytes()
        digest = sha256(content).hexdigest()
        stored = {"digest": f"sha256:{digest}", "size": len(content), "key": f"{MODEL}/sha256-{digest}.onnx"}
        if name == "parts.onnx":
            document["artefact"].update(stored)
        else:
            stored["key"] = f"{MODEL}/sha256-{digest}.bin"
            document["artefact"]["files"] = [{"name": name, **stored}]
        stores.put("test", stored["key"], content)
    identity = f"v4-{document['artefact']['digest'].removeprefix('sha256:')[:8]}"
    document["metadata"]["release"] = identity
    yaml().dump(document, releases.file(MODEL, identity))
    project.point("test", identity)
    return identity


def use(project: Checkout, bench: Bench, folder: Path, document: dict[str, Any]) -> str:
    """Make the rows prod's test set; return its version."""
    (folder / "rows.json").write_text(json.dumps(document))
    version = push_test_set(bench.session(), "prod", MODEL, folder / "rows.json")
    project.edit("prod", lambda config: config["models"][MODEL].update(testSet=version))
    return version


def test_a_release_that_passes_is_promoted(
    project: Checkout, bench: Bench, served: str, stores: ObjectStores, words: Words, tmp_path: Path
) -> None:
    version = use(project, bench, tmp_path, rows(95))
    move(bench, words, "prod")
    assert project.pointers("prod")[0] == served
    assert f"test set {version} of digits: accuracy 0.9500 >= 0.85" in words
    (evidence,) = project.project().evidence.of(MODEL, served)
    assert (evidence.metadata.environment, evidence.metadata.gate) == ("prod", f"testset-{version}")
    assert evidence.result.passed
    assert evidence.result.values["accuracy"] == 0.95
    assert evidence.subject.test_set == project.project().test_sets.load(MODEL, version).rows.digest


def test_a_release_of_several_files_is_held_against_it_as_well(
    project: Checkout, bench: Bench, served_in_parts: str, stores: ObjectStores, words: Words, tmp_path: Path
) -> None:
    version = use(project, bench, tmp_path, rows(95))
    move(bench, words, "prod")
    assert project.pointers("prod")[0] == served_in_parts
    assert f"test set {version} of digits: accuracy 0.9500 >= 0.85" in words


@pytest.fixture
def hooked(served: str, releases: Releases) -> str:
    """The same release, which answers through code of its own; its id."""
    file = releases.file(MODEL, served)
    file.write_text(file.read_text().replace("serving:\n", f"serving:\n  hooks: sha256:{'c' * 64}\n"))
    return served


def answer(release: str, request: httpx.Request) -> httpx.Response:
    """Answer as a release's pods do: by the bright pixel."""
    if request.method == "GET":
        return httpx.Response(200, headers={RELEASE_HEADER: release})
    (given,) = json.loads(request.content)["inputs"]
    scores = np.array(given["data"]).reshape(given["shape"])[:, :10]
    output = {"name": "scores", "datatype": "FP32", "shape": list(scores.shape), "data": scores.reshape(-1).tolist()}
    return httpx.Response(200, json={"outputs": [output]}, headers={RELEASE_HEADER: release})


def test_a_release_that_answers_through_code_of_its_own_is_asked_where_it_is_served(
    project: Checkout, bench: Bench, hooked: str, stores: ObjectStores, words: Words, tmp_path: Path
) -> None:
    version = use(project, bench, tmp_path, rows(95))
    asked: list[str] = []

    def respond(environment: str, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            asked.append(environment)
        return answer(hooked, request)

    bench.respond = respond
    move(bench, words, "prod")
    assert project.pointers("prod")[0] == hooked
    assert f"test set {version} of digits: accuracy 0.9500 >= 0.85" in words
    (evidence,) = project.project().evidence.of(MODEL, hooked)
    assert evidence.result.values["accuracy"] == 0.95
    assert asked == ["test", "test"]


@pytest.mark.parametrize(
    ("status", "content", "release", "reason"),
    [
        (200, {"outputs": []}, FIRST, f"{FIRST} answers, and not v3-"),
        (200, {"outputs": [{}]}, None, "the answer is none of a model"),
        (503, {}, None, "503 {}; see `stellwerk status`"),
    ],
)
def test_what_another_one_answers_is_no_evidence(
    status: int, content: Any, release: str | None, reason: str, project: Checkout, bench: Bench, hooked: str,
    stores: ObjectStores, words: Words, tmp_path: Path,
) -> None:  # fmt: skip
    use(project, bench, tmp_path, rows(95))

    def respond(environment: str, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return answer(hooked, request)
        return httpx.Response(status, json=content, headers={RELEASE_HEADER: release or hooked})

    bench.respond = respond
    with pytest.raises(DeliveryError, match=reason):
        move(bench, words, "prod")
    assert list(project.project().evidence.of(MODEL, hooked)) == []


def test_where_releases_enter_nobody_runs_such_code_before(
    project: Checkout, bench: Bench, hooked: str, stores: ObjectStores, words: Words, tmp_path: Path
) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(rows(95)))
    version = push_test_set(bench.session(), "dev", MODEL, tmp_path / "rows.json")
    project.edit("dev", lambda config: config["models"][MODEL].update(testSet=version))
    with pytest.raises(
        DeliveryError, match=r"through code of its own, serve\.py, .*dev, where releases enter, cannot measure"
    ):
        move(bench, words, "dev", release=hooked)


def test_a_release_that_misses_a_gate_is_refused(
    project: Checkout, bench: Bench, served: str, stores: ObjectStores, words: Words, tmp_path: Path
) -> None:
    version = use(project, bench, tmp_path, rows(80))
    before = project.text("prod")
    expected = (
        rf"release {served}: test set {version} of digits, gates not passed: accuracy is 0\.8000, must be >= 0\.85; "
        "it is not promoted"
    )
    for _ in range(2):
        with pytest.raises(DeliveryError, match=expected):
            move(bench, words, "prod")
    assert project.text("prod") == before
    project.point("prod", served)
    with pytest.raises(ConfigError, match=f"a release that passes the test set {version}, and evidence says"):
        from_file("prod", project.root)
    (evidence,) = project.project().evidence.of(MODEL, served)
    assert not evidence.result.passed


def damage(project: Checkout, stores: ObjectStores, key: str) -> None:
    stores.put("prod", key, b"{}")


def remove(project: Checkout, stores: ObjectStores, key: str) -> None:
    stores.client.delete_object(Bucket=stores.buckets["prod"], Key=key)


@pytest.mark.parametrize("change", [damage, remove])
def test_another_file_is_no_test_set(
    change: Any, project: Checkout, bench: Bench, served: str, stores: ObjectStores, words: Words, tmp_path: Path
) -> None:
    version = use(project, bench, tmp_path, rows(95))
    change(project, stores, project.project().test_sets.load(MODEL, version).rows.key)
    with pytest.raises(
        DeliveryError, match=r"there is no test set .*; run `stellwerk data push digits FILE --test-set"
    ):
        move(bench, words, "prod")
    assert project.pointers("prod") == (None, None)
    assert project.project().evidence.of(MODEL, served) == []


def test_rows_of_another_model_are_named(
    project: Checkout, bench: Bench, served: str, stores: ObjectStores, words: Words, tmp_path: Path
) -> None:
    use(project, bench, tmp_path, rows(95) | {"model": "letters"})
    with pytest.raises(DeliveryError, match="its rows are of letters, not of digits"):
        move(bench, words, "prod")


def test_what_nobody_evaluated_cannot_be_tested(
    project: Checkout, bench: Bench, served: str, releases: Releases, words: Words, tmp_path: Path
) -> None:
    file = releases.file(MODEL, served)
    document = yaml().load(file)
    document["apiVersion"] = "stellwerk.dev/v2"
    for key in ("training", "run", "data", "evaluation"):
        del document[key]
    imported = {"by": "ml-engineers", "from": "hub.example/digits", "created": "2026-01-31T12:00:00Z"}
    document["origin"] = {"imported": imported}
    yaml().dump(document, file)
    for name in ("test", "prod"):
        project.edit(name, lambda config: config["models"][MODEL].update(acceptsUnevaluated=True))
    version = use(project, bench, tmp_path, rows(95))
    with pytest.raises(DeliveryError, match=f"test set {version} of digits: release {served} has no evaluation"):
        move(bench, words, "prod")
