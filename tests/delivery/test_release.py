"""`stellwerk release`: a candidate becomes an immutable file, once, and only when it is what the command finds out."""

import copy
import hashlib
import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from delivery.errors import DeliveryError
from delivery.operations import candidate as candidates
from delivery.operations import release, train
from infra.contract.release import Releases
from tests.delivery.conftest import MODEL, Engine, ObjectStores, Project
from tests.delivery.test_train import IMAGE, TEMPLATE, condition
from training import evaluation
from training.candidate import Artefact, RunReference, build
from training.data import load
from training.export import Dense, compare, digest_of, scores_of, to_onnx
from training.settings import Surroundings, parse

SERVING = f"registry.test/serving@sha256:{'5' * 64}"


@cache
def weights(number: int) -> Dense:
    """Nearest centroid: good enough to pass the gates; each number gives other bytes."""
    train_rows = load(MODEL).train
    means = np.stack([train_rows.inputs[train_rows.labels == label].mean(axis=0) for label in range(10)])
    scale = np.float32(1 / (60 + number))
    return Dense((2 * means * scale).T.astype(np.float32), (-(means**2).sum(axis=1) * scale).astype(np.float32))


@cache
def artefact(number: int) -> bytes:
    """What a training Job exports."""
    return to_onnx([weights(number)], name=MODEL, input_name="pixels", output_name="scores")


def candidate(number: int, job: dict[str, Any], run: str = "run-1", content: bytes | None = None) -> dict[str, Any]:
    """What this training Job writes, by training's own code."""
    container, dataset = job["spec"]["template"]["spec"]["containers"][0], load(MODEL)
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    surroundings = Surroundings(
        tracking_uri="http://tracking.test",
        bucket="models",
        job=job["metadata"]["name"],
        image=container["image"],
        commit=variables["GIT_COMMIT"],
        device="cpu",
    )
    scores = scores_of(artefact(number), "pixels", dataset.held_out.inputs)
    metrics = evaluation.measure(scores, dataset.held_out.labels)
    digest = digest_of(content or artefact(number))
    return build(
        parse(container["args"]),
        surroundings,
        dataset,
        Artefact(digest, len(content or artefact(number)), f"{MODEL}/{digest.replace(':', '-')}.onnx"),
        RunReference(MODEL, run, str(number)),
        metrics,
        evaluation.apply_gates(evaluation.GATES[MODEL], metrics),
        compare(scores, scores),
    )


@dataclass
class Jobs:
    """Training Jobs in the cluster, that have written their candidates and artefacts."""

    stores: ObjectStores
    jobs: dict[str, dict[str, Any]]
    template: dict[str, Any]

    def done(
        self, number: int, *, run: str = "run-1", commit: str = "0123456", content: bytes | None = None,
        forge: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> str:  # fmt: skip
        """The Job's name."""
        template = copy.deepcopy(self.template)
        template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"] = commit
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(train, "commit", lambda: commit)
            job = train._job(template, MODEL, [MODEL, "--seed", str(number), "--requirement", "REQ-1"])
        document = candidate(number, job, run, content)
        name: str = job["metadata"]["name"]
        self.jobs[name] = job | condition("Complete")
        self.stores.put("dev", document["artefact"]["key"], content or artefact(number))
        forge(document)
        self.stores.put("dev", f"candidates/{MODEL}/{name}.json", json.dumps(document).encode())
        return name

    def get(self, environment: str, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
        assert (environment, namespace) == ("dev", "dev-training")
        if kind == "cronjob":
            return self.template if name == f"train-{MODEL}" else None
        return self.jobs.get(name)

    def document(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stores.get("dev", f"candidates/{MODEL}/{job}.json"))
        return found


@pytest.fixture
def jobs(stores: ObjectStores, pulumi: Engine, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    pulumi.stacks.add("dev")
    pulumi.outputs = {"images": {"serving": SERVING, "training": IMAGE.replace("1", "9")}}
    made = Jobs(stores, {}, copy.deepcopy(TEMPLATE))
    monkeypatch.setattr(candidates, "get", made.get)
    return made


@pytest.fixture
def store(project: Project) -> Releases:
    return release.RELEASES


def hash_of(number: int) -> str:
    return hashlib.sha256(artefact(number)).hexdigest()


def refusal(job: str, store: Releases) -> str:
    with pytest.raises(DeliveryError) as raised:
        release.release(MODEL, job)
    assert store.ids(MODEL) == []
    return str(raised.value)


def test_a_release_says_what_the_candidate_says(jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    given = jobs.document(job)
    identity = release.release(MODEL, job)
    assert identity == f"v1-{hash_of(1)[:8]}"
    found = store.load(MODEL, identity).model_dump(mode="json", by_alias=True)
    assert found["metadata"] == {"model": MODEL, "release": identity, "created": given["created"]}
    assert found["serving"] == {"image": SERVING}
    for part in ("artefact", "training", "data", "run", "interface", "evaluation", "reference", "requirements"):
        assert found[part] == given[part], part


def test_releases_are_numbered(jobs: Jobs, store: Releases) -> None:
    made = [release.release(MODEL, jobs.done(number)) for number in (1, 2)]
    assert [identity.split("-")[0] for identity in made] == ["v1", "v2"]
    text = store.file(MODEL, made[0]).read_text()
    for number in (9, 10):
        identity = made[0].replace("v1-", f"v{number}-")
        store.file(MODEL, identity).write_text(text.replace(made[0], identity))
    assert release.release(MODEL, jobs.done(3)).startswith("v11-"), "10 comes after 9"


def test_the_same_artefact_is_the_same_release(jobs: Jobs, store: Releases) -> None:
    first = release.release(MODEL, jobs.done(1))
    second = release.release(MODEL, jobs.done(2))
    before = store.file(MODEL, first).read_bytes()
    again = jobs.done(1, run="run-2")
    assert release.release(MODEL, again) == first
    jobs.jobs.clear()
    assert release.release(MODEL, again) == first, "a release that is made needs no Job any more"
    assert store.ids(MODEL) == [first, second]
    assert store.file(MODEL, first).read_bytes() == before


def test_the_forged_candidate_of_the_report_makes_no_release(jobs: Jobs, store: Releases) -> None:
    """With the store's key alone: no Job, no ONNX, a gate of its own."""

    def forge(document: dict[str, Any]) -> None:
        document["evaluation"]["metrics"]["accuracy"] = 0.01
        document["evaluation"]["gates"] = [
            {"metric": "accuracy", "operator": ">=", "threshold": 0.0, "value": 0.01, "passed": True}
        ]

    job = jobs.done(1, content=b"no ONNX", forge=forge)
    assert "its model cannot be served: " in refusal(job, store)
    jobs.jobs.clear()
    assert f"there is no job {job} any more, so nobody can tell whether it made this candidate" in refusal(job, store)


def worse(document: dict[str, Any]) -> None:
    document["evaluation"]["metrics"]["accuracy"] += 0.01


def lower(document: dict[str, Any]) -> None:
    document["evaluation"]["gates"][0]["threshold"] = 0.5


def fewer(document: dict[str, Any]) -> None:
    document["evaluation"]["gates"].pop()


def change(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def forge(document: dict[str, Any]) -> None:
        node = document
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return forge


@pytest.mark.parametrize(
    ("forge", "named"),
    [
        (worse, "evaluation.metrics: "),
        (lower, "evaluation.gates: "),
        (fewer, "evaluation.gates: "),
        (change("evaluation", "gates", 0, "value", value=1.0), "the gates' values: "),
        (change("evaluation", "parity", "rows", value=3), "evaluation.parity.rows: "),
        (change("evaluation", "parity", "maxAbsDifference", value=0.5), "evaluation.parity within its limit: "),
        (change("data", "digest", value=f"sha256:{'0' * 64}"), "data.digest: "),
        (change("data", "rows", "train", value=7), "data.rows: "),
        (change("data", "name", value="letters"), "data.name: "),
        (change("interface", "inputs", 0, "shape", value=[-1, 63]), "interface.inputs: "),
        (change("interface", "outputs", 0, "datatype", value="BYTES"), "interface.outputs: "),
        (change("reference", "inputs", "pixels", "mean", value=[0.0]), "reference.inputs: "),
        (change("training", "parameters", "seed", value=2), "training.parameters: "),
        (change("training", "parameters", "seed", value="1"), "training.parameters: "),
        (change("training", "commit", value="89abcde"), "training.commit: "),
        (change("training", "image", value=IMAGE.replace("1", "2")), "training.image: "),
        (change("training", "image", value=IMAGE.replace("registry.test", "elsewhere")), "the image's repository: "),
        (change("training", "job", value="train-digits-00000000"), "training.job: "),
        (change("requirements", value=["REQ-2"]), "requirements: "),
        (change("run", "experiment", value="letters"), "run.experiment: "),
        (change("model", value="letters"), "model: "),
        (change("artefact", "key", value="digits/other.onnx"), "artefact.key: "),
    ],
)
def test_what_a_candidate_claims_is_found_out_again(
    forge: Callable[[dict[str, Any]], None], named: str, jobs: Jobs, store: Releases
) -> None:
    job = jobs.done(1, forge=forge)
    message = refusal(job, store)
    assert message.startswith(f"candidate of {job}: it is not what this Job can have made; nothing is released\n  ")
    assert f"\n  {named}" in message


def test_a_worse_artefact_under_a_good_candidate_is_refused(jobs: Jobs, store: Releases) -> None:
    blind = Dense(np.zeros((64, 10), np.float32), np.zeros(10, np.float32))
    job = jobs.done(1, content=to_onnx([blind], name=MODEL, input_name="pixels", output_name="scores"))
    message = refusal(job, store)
    assert "gates not passed, measured by this command: accuracy is 0.1096, must be >= 0.85" in message
    assert "worst_class_recall is 0.0" in message


def test_content_that_is_not_the_digest_is_refused(jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    jobs.stores.put("dev", f"{MODEL}/sha256-{hash_of(1)}.onnx", artefact(2))
    assert "the artefact was changed, and is not used" in refusal(job, store)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda job: job.update(condition("Failed")), " has failed; its candidate is not released"),
        (lambda job: job.update(status={}), " has not ended yet; its candidate is not released"),
        (lambda job: job["metadata"]["labels"].update({"stellwerk.dev/model": "letters"}), "the Job's model: "),
        (lambda job: container(job).update(command=["sh", "-c", "forge"]), "the Job's containers: "),
        (lambda job: container(job)["env"].append({"name": "PYTHONPATH", "value": "/x"}), "the Job's containers: "),
        (lambda job: container(job).update(args=[MODEL, "--seed", "4"]), "the Job's name: "),
        (lambda job: container(job).update(image=IMAGE.replace("1", "7")), "training.image: "),
        (lambda job: container(job).update(args=["letters"]), "its arguments are not those of `stellwerk train`"),
    ],
)
def test_a_job_that_stellwerk_train_did_not_make_is_refused(
    change: Callable[[Any], None], reason: str, jobs: Jobs, store: Releases
) -> None:
    job = jobs.done(1)
    jobs.jobs[job] = copy.deepcopy(jobs.jobs[job])
    change(jobs.jobs[job])
    with redirect_stderr(io.StringIO()):
        assert reason in refusal(job, store)


def container(job: Any) -> Any:
    return job["spec"]["template"]["spec"]["containers"][0]


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


def string_labels() -> bytes:
    node = helper.make_node(
        "LabelEncoder", ["first"], ["scores"], domain="ai.onnx.ml",
        keys_int64s=[0], values_strings=["zero"], default_string="other",
    )  # fmt: skip
    first = helper.make_node("ArgMax", ["pixels"], ["first"], axis=1)
    return network([first, node], [helper.make_tensor_value_info("scores", TensorProto.STRING, ["rows", 1])])


def external_data() -> bytes:
    weight = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[64, 10])
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    node = helper.make_node("MatMul", ["pixels", "weight"], ["scores"])
    output = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 10])
    return network([node], [output], initialisers=[weight])


def mixed_columns() -> bytes:
    inputs = [
        helper.make_tensor_value_info("age", TensorProto.FLOAT, ["rows", 1]),
        helper.make_tensor_value_info("town", TensorProto.STRING, ["rows", 1]),
    ]
    outputs = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 1]),
        helper.make_tensor_value_info("town_out", TensorProto.STRING, ["rows", 1]),
    ]
    nodes = [helper.make_node("Identity", ["age"], ["scores"]), helper.make_node("Identity", ["town"], ["town_out"])]
    return network(nodes, outputs, inputs)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zip_map(), "'scores'"),
        (string_labels(), "'scores'"),
        (mixed_columns(), "'town'"),
        (external_data(), ""),
    ],
    ids=["zip map", "string labels", "mixed columns", "external data"],
)
def test_a_model_that_no_pod_could_serve_is_refused_here(
    content: bytes, reason: str, jobs: Jobs, store: Releases
) -> None:
    message = refusal(jobs.done(1, content=content), store)
    assert "its model cannot be served: " in message
    assert reason in message


def test_an_absent_candidate_is_named(jobs: Jobs, stores: ObjectStores, store: Releases) -> None:
    with pytest.raises(DeliveryError, match=f"there is no {stores.buckets['dev']}/candidates/digits/none.json"):
        release.release(MODEL, "none")
    assert store.ids(MODEL) == []


def test_a_candidate_that_makes_no_release_names_the_keys(jobs: Jobs, store: Releases) -> None:
    def forge(document: dict[str, Any]) -> None:
        document["training"]["commit"] = "main"
        document["data"]["rows"]["train"] = -1
        document["data"]["rows"]["other"] = 1
        document["evaluated"] = document.pop("evaluation")

    message = refusal(jobs.done(1, forge=forge), store)
    assert "it does not make a release; wrong: training.commit, data.rows.train; unknown: " in message
    assert "data.rows.other" in message
    assert "evaluated" in message
    assert "missing: evaluation" in message
    assert not store.folder.exists()


@pytest.mark.parametrize("content", [b"no JSON", b"[]", b"\xff", b'"text"'])
def test_a_candidate_that_is_no_document_is_refused(content: bytes, jobs: Jobs, store: Releases) -> None:
    jobs.stores.put("dev", f"candidates/{MODEL}/other.json", content)
    assert f"candidate {jobs.stores.buckets['dev']}/candidates/digits/other.json: it " in refusal("other", store)


@pytest.mark.parametrize("text", ["1234567", "1234e567", "0123456789012345"])
def test_texts_that_look_like_numbers_stay_texts(text: str, jobs: Jobs, store: Releases) -> None:
    identity = release.release(MODEL, jobs.done(1, commit=text, run=text))
    found = store.load(MODEL, identity)
    assert (found.training.commit, found.run.run_id) == (text, text)


def test_a_release_file_is_never_overwritten(jobs: Jobs, store: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else releases the same at the same moment."""
    identity = release.release(MODEL, jobs.done(1))
    before = store.file(MODEL, identity).read_bytes()
    monkeypatch.setattr(Releases, "ids", lambda *_: [])
    with pytest.raises((FileExistsError, DeliveryError)):
        release.release(MODEL, jobs.done(1, run="run-2"))
    assert store.file(MODEL, identity).read_bytes() == before


def test_a_file_is_complete_or_not_there(jobs: Jobs, store: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(release.os, "link", interrupt)
    with pytest.raises(KeyboardInterrupt):
        release.release(MODEL, jobs.done(1))
    assert store.ids(MODEL) == []


def test_rows_of_numbers_are_written_as_rows(jobs: Jobs, store: Releases) -> None:
    """64 features: a line per number would hide everything else in a review."""
    identity = release.release(MODEL, jobs.done(1))
    lines = store.file(MODEL, identity).read_text().splitlines()
    assert len(lines) < 100
    assert max(map(len, lines)) < 200
