"""What a candidate is believed: nothing that its Job has not stated, and nothing that the command can measure."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from infra.contract.release import Releases
from tests.support.checkout import MODEL, Checkout
from tests.support.linear import Layer, to_onnx
from tests.support.models import training_data
from tests.support.training_cluster import IMAGE, condition
from tests.support.training_jobs import Forge, Jobs, artefact, hash_of, jobs, pod, refusal, store, stores

__all__ = ["jobs", "store", "stores"]


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
    (change("evaluation", "task", value="other"), "evaluation.task: "),
    (change("evaluation", "own", value=["accuracy"]), "evaluation.own: "),
    (change("evaluation", "gates", 0, "value", value=1.0), "the gates' values: "),
    (change("evaluation", "gates", 0, "passed", value=False), "the gates' results: "),
    (change("evaluation", "parity", "rows", value=3), "evaluation.parity.rows: "),
    (change("evaluation", "parity", "maxAbsDifference", value=0.5), "evaluation.parity within its limit: "),
    (change("data", "source", value="rows.csv"), "data.source: "),
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


def test_data_that_the_document_does_not_pin_makes_no_release(jobs: Jobs, store: Releases, project: Checkout) -> None:
    file = project.root / "models" / MODEL / "model.yaml"
    pinned = training_data().digest
    file.write_text(file.read_text().replace("digest: null", f"digest: sha256:{'0' * 64}"))
    job = jobs.done(1)
    assert f'data.digest: the candidate says "{pinned}", found was "sha256:0000' in refusal(job, jobs, store)
    file.write_text(file.read_text().replace(f"digest: sha256:{'0' * 64}", f"digest: {pinned}"))
    assert jobs.release(job).startswith("v1-")


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
    assert jobs.release(job) in store.ids(MODEL)


def blind() -> bytes:
    return to_onnx(Layer(np.zeros((64, 10), np.float32), np.zeros(10, np.float32)), MODEL, "pixels", "scores")


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
        (
            lambda document: document["labels"].__setitem__(0, 10),
            "not those of a multiclass-classification: ",
        ),
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
    rows = training_data().held_out
    many = rows.of(np.tile(np.arange(len(rows)), 3))
    job = jobs.done(1, dataset=replace(training_data(), held_out=many))
    made = store.load(MODEL, jobs.release(job))
    assert made.examples and (made.examples.rows, made.data.rows.held_out) == (1000, len(many))


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
        (lambda job: container(job).update(volumeMounts=[{"mountPath": "/app/training"}]), "the Job's containers: "),
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
