"""`stellwerk train`: the same inputs are trained once, and what is not understood starts nothing."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from components.kit.names import REVISION
from delivery.errors import DeliveryError
from delivery.operations import train
from tests.support.checkout import Checkout
from tests.support.session import Command, FakeClock, Words
from tests.support.training_cluster import IMAGE, LABELS, Cluster, cluster, condition, opened, start

__all__ = ["cluster", "opened"]


def test_a_job_is_made_of_the_template(cluster: Cluster, words: Words) -> None:
    name = start(cluster, words, "epochs=3", "learning_rate=0.01", requirements=("REQ-1", "REQ-2"))
    (job,) = cluster.created
    assert job["kind"] == "Job"
    assert job["metadata"] == {"name": name, "labels": LABELS}
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["template"]["metadata"]["annotations"] == {REVISION: "0123456"}
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == IMAGE
    assert container["args"] == [
        "digits", "--epochs", "3", "--learning-rate", "0.01", "--requirement", "REQ-1", "--requirement", "REQ-2",
    ]  # fmt: skip


def test_the_same_is_trained_once(cluster: Cluster, words: Words) -> None:
    name = start(cluster, words, "epochs=3")
    assert start(cluster, words, "epochs=3") == name
    assert len(cluster.created) == 1
    assert "exists already, same image, parameters and nodes" in words


def other_image(template: Any) -> None:
    template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE.replace("1", "2")


def other_nodes(template: Any) -> None:
    pod = template["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["nodeSelector"] = {"stellwerk.dev/node-pool": "gpu"}


def other_variables(template: Any) -> None:
    """More memory, another label, a new variable, another commit: not what a model is made of."""
    template["metadata"] = {"resourceVersion": "7"}
    template["spec"]["jobTemplate"]["metadata"]["labels"]["more"] = "yes"
    template["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["annotations"] = {REVISION: "89abcde"}
    container = template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"memory": "4Gi"}}
    container["env"].append({"name": "MORE", "value": "yes"})


@pytest.mark.parametrize(
    ("change", "parameters", "requirements", "same"),
    [
        (lambda _: None, ("epochs=3",), (), True),
        (other_variables, ("epochs=3",), (), True),
        (other_image, ("epochs=3",), (), False),
        (other_nodes, ("epochs=3",), (), False),
        (lambda _: None, ("epochs=4",), (), False),
        (lambda _: None, (), (), False),
        (lambda _: None, ("epochs=3", "seed=8"), (), False),
        (lambda _: None, ("epochs=3",), ("REQ-1",), False),
    ],
)
def test_the_name_depends_on_image_arguments_and_nodes_only(
    change: Callable[[Any], None], parameters: tuple[str, ...], requirements: tuple[str, ...], same: bool,
    cluster: Cluster, words: Words,
) -> None:  # fmt: skip
    first = start(cluster, words, "epochs=3")
    change(cluster.template)
    assert (start(cluster, words, *parameters, requirements=requirements) == first) == same


def test_a_failed_job_is_made_again(cluster: Cluster, words: Words) -> None:
    name = start(cluster, words)
    cluster.jobs[name] = condition("Failed")
    assert start(cluster, words) == name
    assert cluster.deleted == [name]
    assert len(cluster.created) == 2
    assert "failed before; making it again" in words


def test_a_job_whose_failure_is_over_is_left_alone(cluster: Cluster, words: Words) -> None:
    name = start(cluster, words)
    cluster.jobs[name] = {"status": {"conditions": [{"type": "Failed", "status": "False"}]}}
    start(cluster, words)
    assert cluster.deleted == []


@pytest.mark.parametrize("parameter", ["epoch=3", "epochs", "=3", "", "model=letters", "requirement=REQ-1"])
def test_an_unknown_parameter_names_those_that_are_known(parameter: str, cluster: Cluster, words: Words) -> None:
    with pytest.raises(DeliveryError) as raised:
        start(cluster, words, parameter)
    allowed = "epochs=…, learning_rate=…, hidden=…, batch_size=…, seed=…"
    assert str(raised.value) == f"--param {parameter}: not known; allowed: {allowed}"
    assert cluster.created == []


@pytest.mark.parametrize(
    ("parameter", "allowed"),
    [
        ("epochs=0", "a whole number at least 1"),
        ("epochs=1.5", "a whole number at least 1"),
        ("learning_rate=2", "a number above 0 and at most 1"),
        ("learning-rate=-1", "a number above 0 and at most 1"),
        ("learning_rate=nan", "a number above 0 and at most 1"),
        ("seed=x", "a whole number"),
        ("hidden=", "a whole number at least 1"),
    ],
)
def test_a_value_that_is_not_allowed_starts_nothing(
    parameter: str, allowed: str, cluster: Cluster, words: Words
) -> None:
    name, _, value = parameter.replace("-rate", "_rate").partition("=")
    with pytest.raises(DeliveryError) as raised:
        start(cluster, words, parameter)
    message = str(raised.value)
    assert message.startswith(f"--param {parameter}: {value!r} is not allowed for {name} (")
    assert message.endswith(f"; give {allowed}, as models/digits/model.yaml says")
    assert cluster.created == []


def test_a_model_of_the_team_is_trained_with_its_own_parameters(
    cluster: Cluster, words: Words, project: Checkout
) -> None:
    """No framework file names it: a folder with a document, and an entry of the stack file."""
    folder = project.root / "models"
    (folder / "letters").mkdir()
    text = (folder / "digits" / "model.yaml").read_text().replace("name: digits", "name: letters")
    (folder / "letters" / "model.yaml").write_text(text.replace("epochs:", "rounds:"))
    project.edit("dev", lambda config: config["training"].update(letters=config["training"]["digits"]))
    cluster.model = "letters"
    start(cluster, words, "rounds=3", model="letters")
    (job,) = cluster.created
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["letters", "--rounds", "3"]
    with pytest.raises(DeliveryError, match=r"--param epochs=3: not known; allowed: rounds=…, learning_rate=…"):
        start(cluster, words, "epochs=3", model="letters")


def test_a_model_without_a_pipeline_is_named(cluster: Cluster, words: Words) -> None:
    with pytest.raises(DeliveryError) as raised:
        start(cluster, words, model="letters")
    assert str(raised.value) == ("stacks/Pulumi.dev.yaml: stellwerk:training has no 'letters'; models there: digits")


def test_an_environment_that_was_never_applied_says_what_to_run(cluster: Cluster, words: Words) -> None:
    cluster.template = None
    with pytest.raises(DeliveryError, match="there is no template train-digits; run `pulumi up --stack dev`"):
        start(cluster, words)


def test_a_job_is_followed_to_its_end(cluster: Cluster, words: Words, clock: FakeClock) -> None:
    name = start(cluster, words)
    cluster.pods = [{"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}}]

    def later(_: float) -> None:
        cluster.log = '{"message": "epoch 1"}\nnot JSON\n'
        if clock.now > 3:
            cluster.log += '{"message": "published"}\n'
            cluster.jobs[name] = condition("Complete")

    clock.asleep = later
    train.wait(cluster.session(), "dev", name, words.console)
    text = words.stream.getvalue()
    assert [text.count(line) for line in ("ContainerCreating", "epoch 1", "not JSON", "published")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ('{"message": "starting"}\n{"message": "accuracy is 0.1, at least 0.85 is needed"}\n', "accuracy is 0.1, .*"),
        ("", "Job was active longer than specified deadline"),
    ],
)
def test_a_failed_job_ends_with_its_last_words(log: str, reason: str, cluster: Cluster, words: Words) -> None:
    name = start(cluster, words)
    cluster.log = log
    cluster.jobs[name] = condition("Failed", message="Job was active longer than specified deadline")
    with pytest.raises(DeliveryError, match=f"^job {name} failed: {reason}$"):
        train.wait(cluster.session(), "dev", name, words.console)


def test_a_job_that_was_deleted_is_not_waited_for(cluster: Cluster, words: Words) -> None:
    with pytest.raises(DeliveryError, match="job train-digits-00000000 was deleted"):
        train.wait(cluster.session(), "dev", "train-digits-00000000", words.console)


def test_the_command_prints_the_job(stellwerk: Command, cluster: Cluster, clock: FakeClock) -> None:
    def later(_: float) -> None:
        cluster.log = '{"message": "epoch 1"}\n'
        cluster.jobs = {name: condition("Complete") for name in cluster.jobs}

    clock.asleep = later
    given = ("--param", "epochs=3", "--param", "seed=1", "--requirement", "REQ-1", "--wait", "--json")
    code, out, err = stellwerk("train", "digits", *given)
    assert code == 0, err
    (job,) = cluster.created
    assert json.loads(out) == {"job": job["metadata"]["name"]}
    assert f"job {job['metadata']['name']}: started" in " ".join(err.split())
    assert "epoch 1" in err
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert arguments == ["digits", "--epochs", "3", "--seed", "1", "--requirement", "REQ-1"]
