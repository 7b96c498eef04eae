"""`stellwerk train` where Kubeflow Trainer makes the Jobs: a TrainJob is created, its Job is followed."""

from typing import Any

import pytest

from components.kit.names import RUNTIME_LABEL
from delivery.clients.jobs import job_of, owner_of, train_job_of
from delivery.errors import DeliveryError
from delivery.operations import train
from tests.support.session import Words
from tests.support.training_cluster import IMAGE, LABELS, Cluster, cluster, condition, opened, start

__all__ = ["cluster", "opened"]
COMMAND = ["python", "-m", "torch.distributed.run", "--nnodes=2", "-m", "training"]


@pytest.fixture(autouse=True)
def of_a_runtime(cluster: Cluster) -> None:
    assert cluster.template
    body = cluster.template["spec"]["jobTemplate"]
    body["metadata"]["labels"] = {**LABELS, RUNTIME_LABEL: "train-digits"}
    container = body["spec"]["template"]["spec"]["containers"][0]
    container.update(name="node", command=COMMAND)


def followed(cluster: Cluster, words: Words, name: str) -> None:
    train.wait(cluster.session(), "dev", name, words.console)


def test_a_train_job_is_made_of_the_template(cluster: Cluster, words: Words) -> None:
    name = start(cluster, words, "epochs=3")
    (made,) = cluster.created
    assert (made["kind"], made["metadata"]["name"]) == ("TrainJob", train_job_of(name))
    assert made["spec"]["runtimeRef"]["name"] == "train-digits"
    assert made["spec"]["trainer"] == {"image": IMAGE, "command": COMMAND, "args": ["digits", "--epochs", "3"]}
    assert name == job_of(made["metadata"]["name"])


def test_another_number_of_workers_is_another_training(cluster: Cluster, words: Words) -> None:
    name = start(cluster, words)
    assert start(cluster, words) == name and len(cluster.created) == 1
    assert cluster.template
    container = cluster.template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["command"] = [word.replace("=2", "=3") for word in COMMAND]
    assert start(cluster, words) != name


@pytest.mark.parametrize("where", ["jobs", "train_jobs"])
def test_one_that_failed_goes_with_its_train_job(where: str, cluster: Cluster, words: Words) -> None:
    name = start(cluster, words)
    kind, owner = owner_of(name)
    known: dict[str, Any] = getattr(cluster, where)
    known[name if where == "jobs" else owner] = condition("Failed")
    assert start(cluster, words) == name
    assert kind.startswith("trainjob") and cluster.deleted == [owner] and len(cluster.created) == 2


def test_its_job_is_followed(cluster: Cluster, words: Words) -> None:
    name = start(cluster, words)
    cluster.jobs[name] = condition("Complete")
    followed(cluster, words, name)


def test_a_trainer_that_does_nothing_is_told(cluster: Cluster, words: Words) -> None:
    name = start(cluster, words)
    with pytest.raises(DeliveryError, match=r"has not made job .* within 30 s; see that its controller"):
        followed(cluster, words, name)
    assert "waiting for Kubeflow Trainer" in words


def test_what_the_trainer_refuses_or_somebody_deletes_is_told(cluster: Cluster, words: Words) -> None:
    name = start(cluster, words)
    cluster.train_jobs[owner_of(name)[1]] = condition("Failed", message="no such runtime")
    with pytest.raises(DeliveryError, match="failed: no such runtime"):
        followed(cluster, words, name)
    cluster.train_jobs.clear()
    with pytest.raises(DeliveryError, match="was deleted"):
        followed(cluster, words, name)
