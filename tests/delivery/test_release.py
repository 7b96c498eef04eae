"""`stellwerk release`: a candidate becomes an immutable file, once, and only when its model can be served."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from onnx import TensorProto, helper

from delivery.errors import DeliveryError
from delivery.operations.release import write
from infra.contract.release import Releases
from tests.support.checkout import MODEL
from tests.support.session import Command
from tests.support.stores import MemoryStores
from tests.support.training_jobs import SERVING, Jobs, hash_of, jobs, refusal, store, stores

__all__ = ["jobs", "store", "stores"]


def test_a_release_says_what_the_candidate_says(jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    given = jobs.document(job)
    identity = jobs.release(job)
    assert identity == f"v1-{hash_of(1)[:8]}"
    written = store.load(MODEL, identity).model_dump(mode="json", by_alias=True)
    assert written["metadata"] == {"model": MODEL, "release": identity, "created": given["created"]}
    assert written["serving"] == {"image": SERVING}
    assert written["apiVersion"] == "stellwerk.dev/v2"
    assert (written["artefact"]["files"], written["origin"]) == ([], None)
    parts = ("artefact", "training", "data", "run", "interface", "evaluation", "reference", "examples", "requirements")
    for part in parts:
        assert written[part] == given[part], part


def test_releases_are_numbered(jobs: Jobs, store: Releases) -> None:
    made = [jobs.release(jobs.done(number)) for number in (1, 2)]
    assert [identity.split("-")[0] for identity in made] == ["v1", "v2"]
    text = store.file(MODEL, made[0]).read_text()
    for number in (9, 10):
        identity = made[0].replace("v1-", f"v{number}-")
        store.file(MODEL, identity).write_text(text.replace(made[0], identity))
    assert jobs.release(jobs.done(3)).startswith("v11-"), "10 comes after 9"


def test_the_same_artefact_is_the_same_release(jobs: Jobs, store: Releases) -> None:
    first = jobs.release(jobs.done(1))
    second = jobs.release(jobs.done(2))
    before = store.file(MODEL, first).read_bytes()
    again = jobs.done(1, run="run-2")
    assert jobs.release(again) == first
    jobs.jobs.clear()
    assert jobs.release(again) == first, "a release that is made needs no Job any more"
    assert store.ids(MODEL) == [first, second]
    assert store.file(MODEL, first).read_bytes() == before


def network(nodes: list[Any], outputs: list[Any], inputs: list[Any] | None = None, initialisers: Any = ()) -> bytes:
    inputs = inputs or [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["rows", 64])]
    graph = helper.make_graph(nodes, MODEL, inputs, outputs, initialisers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


def zip_map() -> bytes:
    """As skl2onnx exports a classifier: probabilities as a sequence of maps."""
    key, value = TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(key, value))
    node = helper.make_node("ZipMap", ["pixels"], ["scores"], domain="ai.onnx.ml", classlabels_int64s=list(range(64)))
    return network([node], [helper.make_value_info("scores", kind)])


def external_data() -> bytes:
    weight = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[64, 10])
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    node = helper.make_node("MatMul", ["pixels", "weight"], ["scores"])
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 10])
    return network([node], [output], initialisers=[weight])


def other_floats() -> bytes:
    node = helper.make_node("Cast", ["pixels"], ["scores"], to=TensorProto.BFLOAT16)
    return network([node], [helper.make_tensor_value_info("scores", TensorProto.BFLOAT16, ["rows", 64])])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zip_map(), "'scores'"),
        (other_floats(), "'scores'"),
        (external_data(), ""),
    ],
    ids=["zip map", "other floats", "external data"],
)
def test_a_model_that_no_pod_could_serve_is_refused_here(
    content: bytes, reason: str, jobs: Jobs, store: Releases
) -> None:
    message = refusal(jobs.done(1, content=content), jobs, store)
    assert "its model cannot be served: " in message
    assert reason in message


def test_an_absent_candidate_is_named(jobs: Jobs, stores: MemoryStores, store: Releases) -> None:
    with pytest.raises(DeliveryError, match=f"there is no {stores.buckets['dev']}/candidates/digits/none.json"):
        jobs.release("none")
    assert store.ids(MODEL) == []


def test_a_candidate_that_makes_no_release_names_the_keys(jobs: Jobs, store: Releases) -> None:
    def forge(document: dict[str, Any]) -> None:
        document["training"]["commit"] = "main"
        document["data"]["rows"]["train"] = -1
        document["data"]["rows"]["other"] = 1
        document["evaluated"] = document.pop("evaluation")

    message = refusal(jobs.done(1, forge=forge), jobs, store)
    assert "it does not make a release; wrong: training.commit, data.rows.train; unknown: " in message
    assert "data.rows.other" in message
    assert "evaluated" in message
    assert "missing: evaluation" in message
    assert not store.folder.exists()


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b"\xff", b'"text"'])
def test_a_candidate_that_is_no_document_is_refused(content: bytes, jobs: Jobs, store: Releases) -> None:
    jobs.stores.put("dev", f"candidates/{MODEL}/other.json", content)
    assert f"candidate {jobs.stores.buckets['dev']}/candidates/digits/other.json: it " in refusal("other", jobs, store)


@pytest.mark.parametrize("text", ["1234567", "1234e567", "0123456789012345"])
def test_texts_that_look_like_numbers_stay_texts(text: str, jobs: Jobs, store: Releases) -> None:
    identity = jobs.release(jobs.done(1, commit=text, run=text))
    written = store.load(MODEL, identity)
    assert (written.training.commit, written.run.run_id) == (text, text)


def test_a_release_file_is_never_overwritten(jobs: Jobs, store: Releases) -> None:
    """Somebody else releases the same at the same moment."""
    identity = jobs.release(jobs.done(1))
    before = store.file(MODEL, identity).read_bytes()
    other = store.load(MODEL, identity).model_copy(update={"requirements": ("REQ-2",)})
    with pytest.raises(DeliveryError, match=rf"^stacks/releases/digits/{identity}\.yaml exists already"):
        write(store, MODEL, identity, other)
    assert store.file(MODEL, identity).read_bytes() == before


def test_a_file_is_complete_or_absent(jobs: Jobs, store: Releases) -> None:
    identity = jobs.release(jobs.done(1))
    document = store.load(MODEL, identity)
    store.file(MODEL, identity).unlink()
    with largest_file(1000), pytest.raises(DeliveryError, match=r"^writing the release failed: .*File too large; free"):
        write(store, MODEL, identity, document)
    assert list((store.folder / MODEL).iterdir()) == []


def test_a_folder_that_is_none_is_named(jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    store.folder.mkdir()
    (store.folder / MODEL).write_text("")
    with pytest.raises(DeliveryError, match=rf"^writing the release failed: {store.folder / MODEL}: File exists; "):
        jobs.release(job)


def test_a_full_temporary_folder_is_one_message(jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    with largest_file(100), pytest.raises(DeliveryError, match=r"^verifying the artefact failed: .*TMPDIR"):
        jobs.release(job)
    assert not store.folder.exists()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_rows_of_numbers_are_written_as_rows(jobs: Jobs, store: Releases) -> None:
    """64 features: a line per number would hide everything else in a review."""
    identity = jobs.release(jobs.done(1))
    lines = store.file(MODEL, identity).read_text().splitlines()
    assert len(lines) < 100
    assert max(map(len, lines)) < 200


def test_the_command_prints_the_release_and_its_file(stellwerk: Command, jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    code, out, err = stellwerk("release", MODEL, "--job", job, "--json")
    (identity,) = store.ids(MODEL)
    file = f"stacks/releases/{MODEL}/{identity}.yaml"
    assert (code, err, json.loads(out)) == (0, "", {"release": identity, "file": file})
    assert stellwerk("release", MODEL, "--job", job) == (0, f"{file}\n", "")
