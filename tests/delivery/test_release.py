"""`stellwerk release`: a candidate becomes an immutable file, once, and only when it is what the command finds out."""

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from components.kit.names import REVISION
from delivery.clients.jobs import TrainingJobs
from delivery.errors import DeliveryError
from delivery.operations import release, train
from infra.contract.release import Releases
from tests.delivery.conftest import MODEL, Engine, ObjectStores, Project
from tests.delivery.test_train import IMAGE, TEMPLATE, condition
from tests.support.models import training_models
from training import evaluation
from training.candidate import Measured, Published, RunReference, build
from training.data import Dataset, Split, load
from training.examples import build as build_examples
from training.examples import rows_of
from training.export import Dense, compare, scores_of, to_onnx
from training.publish import stored_object
from training.settings import Place, parse

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


Forge = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Training:
    """What a Job trains and publishes: the numbered network, on this data set, or another file than it measured."""

    number: int
    dataset: Dataset = field(default_factory=lambda: load(MODEL))
    content: bytes | None = None
    run: str = "run-1"
    edit: Forge = lambda _: None

    @property
    def scores(self) -> Any:
        return scores_of(artefact(self.number), "pixels", self.dataset.held_out.inputs)

    @property
    def stored(self) -> bytes:
        return self.content or artefact(self.number)

    @property
    def examples(self) -> bytes:
        document = json.loads(build_examples(MODEL, self.dataset, ("pixels", "scores"), self.scores))
        self.edit(document)
        return json.dumps(document).encode()

    def candidate(self, job: dict[str, Any]) -> dict[str, Any]:
        """What the Job writes, by training's own code."""
        container = job["spec"]["template"]["spec"]["containers"][0]
        place = Place(
            tracking_uri="http://tracking.test",
            bucket="models",
            job=job["metadata"]["name"],
            image=container["image"],
            commit=job["spec"]["template"]["metadata"]["annotations"][REVISION],
            device="cpu",
        )
        models, scores = training_models(), self.scores
        metrics = evaluation.measure(scores, self.dataset.held_out.labels)
        return build(
            parse(models, container["args"]),
            place,
            self.dataset,
            Published(
                stored_object(MODEL, self.stored, "onnx"),
                stored_object(MODEL, self.examples, "json"),
                rows_of(self.dataset),
            ),
            RunReference(MODEL, self.run, str(self.number)),
            Measured(metrics, evaluation.apply_gates(models[MODEL].gates, metrics), compare(scores, scores)),
        )


@dataclass(frozen=True)
class Jobs(TrainingJobs):
    """Training Jobs in the cluster, that have written their candidates, artefacts and examples."""

    stores: ObjectStores
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    stated: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    templates: dict[str, dict[str, Any]] = field(default_factory=lambda: {MODEL: copy.deepcopy(TEMPLATE)})

    def done(self, number: int, *, commit: str = "0123456", forge: Forge = lambda _: None, **more: Any) -> str:
        """The name of a Job that has published and stated what `forge` makes of its candidate."""
        template = copy.deepcopy(self.templates[MODEL])
        template["spec"]["jobTemplate"]["spec"]["template"]["metadata"] = {"annotations": {REVISION: commit}}
        job = train._job(template, MODEL, [MODEL, "--seed", str(number), "--requirement", "REQ-1"])
        job["metadata"]["uid"] = f"uid-{number}"
        training = Training(number, **more)
        document = training.candidate(job)
        name: str = job["metadata"]["name"]
        self.jobs[name] = job | condition("Complete")
        self.stores.put("dev", document["artefact"]["key"], training.stored)
        self.stores.put("dev", document["examples"]["key"], training.examples)
        forge(document)
        self.stated[name] = [pod(job, self.put(name, document))]
        return name

    def put(self, name: str, document: dict[str, Any]) -> str:
        """Writes a candidate, as whoever has the store's key can; returns its digest."""
        content = json.dumps(document).encode()
        self.stores.put("dev", f"candidates/{MODEL}/{name}.json", content)
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def job(self, name: str) -> dict[str, Any] | None:
        return self.jobs.get(name)

    def template(self, model: str) -> dict[str, Any] | None:
        return self.templates.get(model)

    def pods(self, job: str) -> list[dict[str, Any]]:
        return self.stated[job]

    def document(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stores.get("dev", f"candidates/{MODEL}/{job}.json"))
        return found


def pod(job: dict[str, Any], message: str, code: int = 0) -> dict[str, Any]:
    """A pod of the Job that has ended, with its termination message."""
    ended = {"terminated": {"exitCode": code, "message": message}}
    return {
        "metadata": {"ownerReferences": [{"kind": "Job", "uid": job["metadata"]["uid"]}]},
        "spec": copy.deepcopy(job["spec"]["template"]["spec"]),
        "status": {"containerStatuses": [{"name": "training", "state": ended}]},
    }


@pytest.fixture
def jobs(stores: ObjectStores, pulumi: Engine) -> Jobs:
    pulumi.stacks.add("dev")
    pulumi.outputs = {"images": {"serving": SERVING, "training": IMAGE.replace("1", "9")}}
    return Jobs("dev", stores)


@pytest.fixture
def store(project: Project) -> Releases:
    return release.RELEASES


def hash_of(number: int) -> str:
    return hashlib.sha256(artefact(number)).hexdigest()


def refusal(job: str, jobs: Jobs, store: Releases) -> str:
    with pytest.raises(DeliveryError) as raised:
        release.release(MODEL, job, jobs)
    assert store.ids(MODEL) == []
    return str(raised.value)


def test_a_release_says_what_the_candidate_says(jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    given = jobs.document(job)
    identity = release.release(MODEL, job, jobs)
    assert identity == f"v1-{hash_of(1)[:8]}"
    found = store.load(MODEL, identity).model_dump(mode="json", by_alias=True)
    assert found["metadata"] == {"model": MODEL, "release": identity, "created": given["created"]}
    assert found["serving"] == {"image": SERVING}
    for part in (
        "artefact",
        "training",
        "data",
        "run",
        "interface",
        "evaluation",
        "reference",
        "examples",
        "requirements",
    ):
        assert found[part] == given[part], part


def test_releases_are_numbered(jobs: Jobs, store: Releases) -> None:
    made = [release.release(MODEL, jobs.done(number), jobs) for number in (1, 2)]
    assert [identity.split("-")[0] for identity in made] == ["v1", "v2"]
    text = store.file(MODEL, made[0]).read_text()
    for number in (9, 10):
        identity = made[0].replace("v1-", f"v{number}-")
        store.file(MODEL, identity).write_text(text.replace(made[0], identity))
    assert release.release(MODEL, jobs.done(3), jobs).startswith("v11-"), "10 comes after 9"


def test_the_same_artefact_is_the_same_release(jobs: Jobs, store: Releases) -> None:
    first = release.release(MODEL, jobs.done(1), jobs)
    second = release.release(MODEL, jobs.done(2), jobs)
    before = store.file(MODEL, first).read_bytes()
    again = jobs.done(1, run="run-2")
    assert release.release(MODEL, again, jobs) == first
    jobs.jobs.clear()
    assert release.release(MODEL, again, jobs) == first, "a release that is made needs no Job any more"
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
    assert "its model cannot be served: " in refusal(job, jobs, store)
    jobs.jobs.clear()
    assert f"there is no job {job} any more, so nobody can tell whether it made this candidate" in refusal(
        job, jobs, store
    )


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


# What the command refuses by its own observations, even if the Job itself says so.
FALSE = [
    (worse, "evaluation.metrics: "),
    (lower, "evaluation.gates: "),
    (fewer, "evaluation.gates: "),
    (change("evaluation", "gates", 0, "value", value=1.0), "the gates' values: "),
    (change("evaluation", "gates", 0, "passed", value=False), "the gates' results: "),
    (change("evaluation", "parity", "rows", value=3), "evaluation.parity.rows: "),
    (change("evaluation", "parity", "maxAbsDifference", value=0.5), "evaluation.parity within its limit: "),
    (change("interface", "inputs", 0, "shape", value=[-1, 63]), "interface.inputs: "),
    (change("interface", "outputs", 0, "datatype", value="BYTES"), "interface.outputs: "),
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
    (change("examples", "key", value="digits/other.json"), "examples.key: "),
    (change("examples", "rows", value=7000), "examples.rows: "),
]
# What only the Job has observed.
OBSERVED = [
    change("data", "digest", value=f"sha256:{'0' * 64}"),
    change("data", "rows", "train", value=7),
    change("data", "name", value="letters"),
    change("reference", "inputs", "pixels", "mean", value=[0.0]),
    change("run", "runId", value="run-2"),
    change("created", value="2026-01-31T12:00:00Z"),
]


@pytest.mark.parametrize(("forge", "named"), FALSE)
def test_what_a_candidate_claims_is_verified(forge: Forge, named: str, jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1, forge=forge)
    message = refusal(job, jobs, store)
    assert message.startswith(f"candidate of {job}: it is not what this Job can have made; nothing is released\n  ")
    assert f"\n  {named}" in message


@pytest.mark.parametrize("forge", [*(forge for forge, _ in FALSE), *OBSERVED])
def test_with_the_stores_key_alone_no_candidate_is_forged(forge: Forge, jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    document = jobs.document(job)
    forge(document)
    digest = jobs.put(job, document)
    message = refusal(job, jobs, store)
    assert "nothing is released" in message
    assert "it is not what this Job can have made" in message or f"it has digest {digest}, the Job stated" in message


def test_another_candidate_under_a_good_job_is_refused_by_its_digest(jobs: Jobs, store: Releases) -> None:
    """All of it is true of another model, its artefact and examples included: but this Job did not publish it."""
    job = jobs.done(1)
    good = jobs.document(job)
    other = jobs.document(jobs.done(2))
    other["training"] = good["training"]
    digest = jobs.put(job, other)
    message = refusal(job, jobs, store)
    assert f"candidate of {job}: it has digest {digest}, the Job stated sha256:" in message
    assert f"run `kubectl -n dev-training delete job {job}` and `stellwerk train digits --wait`" in message


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda pods: pods.clear(), "the pod of job "),
        (lambda pods: pods[0]["metadata"]["ownerReferences"][0].update(uid="another"), "the pod of job "),
        (lambda pods: pods[0]["spec"]["containers"][0].update(image="elsewhere"), "the pod of job "),
        (lambda pods: state(pods).update(exitCode=1), "the pod of job "),
        (lambda pods: state(pods).pop("message"), "the Job stated none"),
        (lambda pods: state(pods).update(message=f"sha256:{'0' * 64}"), "the Job stated sha256:000"),
    ],
)
def test_without_the_pods_statement_there_is_no_release(
    edit: Callable[[Any], Any], reason: str, jobs: Jobs, store: Releases
) -> None:
    job = jobs.done(1)
    edit(jobs.stated[job])
    message = refusal(job, jobs, store)
    assert reason in message
    assert f"kubectl -n dev-training delete job {job}" in message


def state(pods: Any) -> Any:
    return pods[0]["status"]["containerStatuses"][0]["state"]["terminated"]


def test_a_pod_that_was_evicted_before_the_one_that_succeeded_does_not_matter(jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    jobs.stated[job].insert(0, pod(jobs.jobs[job], "", code=137))
    assert release.release(MODEL, job, jobs) in store.ids(MODEL)


def blind() -> bytes:
    layer = Dense(np.zeros((64, 10), np.float32), np.zeros(10, np.float32))
    return to_onnx([layer], name=MODEL, input_name="pixels", output_name="scores")


def test_a_worse_artefact_under_a_good_candidate_is_refused(jobs: Jobs, store: Releases) -> None:
    assert "its model's answers to the example rows differ by " in refusal(jobs.done(1, content=blind()), jobs, store)


def test_a_worse_model_is_refused_by_the_gates_of_this_checkout(jobs: Jobs, store: Releases) -> None:
    def zeros(document: dict[str, Any]) -> None:
        document["outputs"][0]["data"] = [0.0] * len(document["outputs"][0]["data"])

    message = refusal(jobs.done(1, content=blind(), edit=zeros), jobs, store)
    assert "gates of models/digits/model.yaml not passed, measured by this command: accuracy is 0.1" in message
    assert "worst_class_recall is 0.0" in message


def test_labels_of_ones_own_do_not_make_a_model_better(jobs: Jobs, store: Releases) -> None:
    """The Job's metrics are held against its rows and labels."""
    job = jobs.done(1, edit=lambda document: document["labels"].__setitem__(slice(0, 9), [3] * 9))
    assert "\n  evaluation.metrics: " in refusal(job, jobs, store)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda document: document["inputs"][0].update(name="other"), "not of the model's inputs, pixels"),
        (lambda document: document["inputs"][0].update(datatype="FP64"), "not of the model's inputs, pixels"),
        (lambda document: document["outputs"].append(document["outputs"][0] | {"name": "more"}), "outputs, scores"),
        (lambda document: document["labels"].__setitem__(0, 10), "labels up to 10, and the answers the shape"),
        (lambda document: document["labels"].pop(), "not a document of example rows"),
        (lambda document: document["inputs"][0]["shape"].__setitem__(1, 63), "not a document of example rows"),
        (lambda document: document["inputs"][0].update(shape=[len(document["labels"]) * 2, 32]), "not a document"),
    ],
)
def test_examples_that_do_not_fit_are_refused(edit: Forge, reason: str, jobs: Jobs, store: Releases) -> None:
    assert reason in refusal(jobs.done(1, edit=edit), jobs, store)


def test_examples_that_were_changed_in_the_store_are_refused(jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    stated = jobs.document(job)["examples"]
    jobs.stores.put("dev", stated["key"], b"x" * stated["size"])
    assert f"{stated['key']} has digest sha256:" in refusal(job, jobs, store)


def test_of_many_rows_the_jobs_own_metrics_count(jobs: Jobs, store: Releases) -> None:
    """A part of the rows has other metrics than all of them."""
    rows = load(MODEL).held_out
    many = Split(np.tile(rows.inputs, (3, 1)), np.tile(rows.labels, 3))
    job = jobs.done(1, dataset=replace(load(MODEL), held_out=many))
    found = store.load(MODEL, release.release(MODEL, job, jobs))
    assert found.examples and (found.examples.rows, found.data.rows.held_out) == (1000, len(many.labels))


def test_content_that_is_not_the_digest_is_refused(jobs: Jobs, store: Releases) -> None:
    job = jobs.done(1)
    jobs.stores.put("dev", f"{MODEL}/sha256-{hash_of(1)}.onnx", artefact(2))
    assert "the artefact was changed, and is not used" in refusal(job, jobs, store)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda job: job.update(condition("Failed")), " has failed; its candidate is not released"),
        (lambda job: job.update(status={}), " has not ended yet; its candidate is not released"),
        (lambda job: job["metadata"]["labels"].update({"stellwerk.dev/model": "letters"}), "the Job's model: "),
        (lambda job: container(job).update(command=["sh", "-c", "forge"]), "the Job's containers: "),
        (lambda job: container(job)["env"].append({"name": "PYTHONPATH", "value": "/x"}), "the Job's containers: "),
        (lambda job: container(job).update(args=[MODEL, "--seed", "4"]), "the Job's name: "),
        (lambda job: container(job).update(image=IMAGE.replace("1", "7")), "the pod of job "),
        (lambda job: container(job).update(args=["letters"]), "its arguments are not those of `stellwerk train`"),
        (lambda job: container(job).update(args=[MODEL, "--seed"]), "its arguments are not those of `stellwerk train`"),
        (lambda job: container(job).update(args=[MODEL, "--seed", "x"]), "its arguments: 'x' is not allowed for seed"),
        (lambda job: job["spec"]["template"].pop("metadata"), "training.commit: "),
    ],
)
def test_a_job_that_stellwerk_train_did_not_make_is_refused(
    change: Callable[[Any], None], reason: str, jobs: Jobs, store: Releases
) -> None:
    job = jobs.done(1)
    jobs.jobs[job] = copy.deepcopy(jobs.jobs[job])
    change(jobs.jobs[job])
    assert reason in refusal(job, jobs, store)


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
    message = refusal(jobs.done(1, content=content), jobs, store)
    assert "its model cannot be served: " in message
    assert reason in message


def test_an_absent_candidate_is_named(jobs: Jobs, stores: ObjectStores, store: Releases) -> None:
    with pytest.raises(DeliveryError, match=f"there is no {stores.buckets['dev']}/candidates/digits/none.json"):
        release.release(MODEL, "none", jobs)
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
    identity = release.release(MODEL, jobs.done(1, commit=text, run=text), jobs)
    found = store.load(MODEL, identity)
    assert (found.training.commit, found.run.run_id) == (text, text)


def test_a_release_file_is_never_overwritten(jobs: Jobs, store: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else releases the same at the same moment."""
    identity = release.release(MODEL, jobs.done(1), jobs)
    before = store.file(MODEL, identity).read_bytes()
    monkeypatch.setattr(Releases, "ids", lambda *_: [])
    with pytest.raises((FileExistsError, DeliveryError)):
        release.release(MODEL, jobs.done(1, run="run-2"), jobs)
    assert store.file(MODEL, identity).read_bytes() == before


def test_a_file_is_complete_or_not_there(jobs: Jobs, store: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(release.os, "link", interrupt)
    with pytest.raises(KeyboardInterrupt):
        release.release(MODEL, jobs.done(1), jobs)
    assert store.ids(MODEL) == []


def test_rows_of_numbers_are_written_as_rows(jobs: Jobs, store: Releases) -> None:
    """64 features: a line per number would hide everything else in a review."""
    identity = release.release(MODEL, jobs.done(1), jobs)
    lines = store.file(MODEL, identity).read_text().splitlines()
    assert len(lines) < 100
    assert max(map(len, lines)) < 200
