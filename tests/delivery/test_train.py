"""`stellwerk train`: the same inputs are trained once, and what is not understood starts nothing."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from components.kit.names import REVISION
from delivery.clients import kube
from delivery.errors import DeliveryError
from delivery.operations import train
from delivery.operations.events import events, quantity, refuse_beyond_quota, room
from delivery.operations.waiting import Waiting
from infra.contract.model import Models
from infra.values import ROOT
from tests.delivery.conftest import Clock, Project, Words

IMAGE = f"registry.test/training@sha256:{'1' * 64}"
LABELS = {"app": "training", "stellwerk.dev/model": "digits"}
TEMPLATE = {
    "spec": {
        "suspend": True,
        "jobTemplate": {
            "metadata": {"labels": LABELS},
            "spec": {
                "backoffLimit": 0,
                "template": {
                    "metadata": {"annotations": {REVISION: "0123456"}},
                    "spec": {
                        "containers": [
                            {
                                "name": "training",
                                "image": IMAGE,
                                "args": ["digits"],
                                "env": [{"name": "TRAINING_IMAGE", "value": IMAGE}],
                            }
                        ],
                    },
                },
            },
        },
    }
}


def condition(kind: str, **more: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": kind, "status": "True", **more}]}}


@dataclass
class Cluster:
    """Jobs by name, and what was asked of kubectl."""

    template: dict[str, Any] | None = field(default_factory=lambda: copy.deepcopy(TEMPLATE))
    model: str = "digits"
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    log: str = ""
    pods: list[dict[str, Any]] = field(default_factory=list)
    # By kind and name.
    events: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    quotas: list[dict[str, Any]] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)

    def get(self, environment: str, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
        assert (environment, namespace) == ("dev", "dev-training")
        if kind == "cronjob":
            assert name == f"train-{self.model}"
            return copy.deepcopy(self.template)
        return self.jobs.get(name)

    def kubectl(self, environment: str, *arguments: str, stdin: str | None = None) -> str:
        assert environment == "dev"
        if arguments[:2] != ("--namespace", "dev-training"):
            return self._everywhere(arguments)
        match arguments[2:]:
            case ("create", "-f", "-"):
                assert stdin is not None
                self.created.append(json.loads(stdin))
                job = self.created[-1]
                name = job["metadata"]["name"]
                self.jobs[name] = {"metadata": {"name": name, "uid": "this"}, "spec": job["spec"], "status": {}}
            case ("delete", "job", name, "--wait"):
                self.deleted.append(name)
                del self.jobs[name]
            case ("logs", _, "--tail=-1"):
                if not self.log:
                    raise DeliveryError("the container has not started")
                return self.log
            case ("get", "pods", "--selector", _, "-o", "json"):
                return json.dumps({"items": self.pods})
            case ("get", "pods", "--namespace", "dev-training", "-o", "json"):
                return json.dumps({"items": self.others})
            case ("get", "events", "--field-selector", selector, "-o", "json"):
                kind, name = (part.partition("=")[2] for part in selector.split(","))
                return json.dumps({"items": self.events.get((kind, name), [])})
            case ("get", "resourcequotas", "-o", "json"):
                return json.dumps({"items": self.quotas})
            case _:
                raise AssertionError(f"kubectl {' '.join(arguments)}: not expected")
        return ""

    def _everywhere(self, arguments: tuple[str, ...]) -> str:
        match arguments:
            case ("get", "nodes", "-o", "json"):
                return json.dumps({"items": self.nodes})
            case ("get", "pods", *_, "-o", "json"):
                return json.dumps({"items": self.others})
            case _:
                raise AssertionError(f"kubectl {' '.join(arguments)}: not expected")


@pytest.fixture
def cluster(project: Project, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(train, "get", made.get)
    monkeypatch.setattr(train, "kubectl", made.kubectl)
    monkeypatch.setattr(kube, "kubectl", made.kubectl)
    return made


def start(words: Words, *parameters: str, requirements: tuple[str, ...] = (), model: str = "digits") -> str:
    return train.train(model, parameters, requirements, words.console)


def test_a_job_is_made_of_the_template(cluster: Cluster, words: Words) -> None:
    name = start(words, "epochs=3", "learning_rate=0.01", requirements=("REQ-1", "REQ-2"))
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
    name = start(words, "epochs=3")
    assert start(words, "epochs=3") == name
    assert len(cluster.created) == 1
    assert "is there already, same image, parameters and nodes" in words


def other_image(template: Any) -> None:
    template["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE.replace("1", "2")


def other_nodes(template: Any) -> None:
    pod = template["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    pod["nodeSelector"] = {"stellwerk.dev/node-pool": "gpu"}


def other_surroundings(template: Any) -> None:
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
        (other_surroundings, ("epochs=3",), (), True),
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
    first = start(words, "epochs=3")
    change(cluster.template)
    assert (start(words, *parameters, requirements=requirements) == first) == same


def test_a_failed_job_is_made_again(cluster: Cluster, words: Words) -> None:
    name = start(words)
    cluster.jobs[name] = condition("Failed")
    assert start(words) == name
    assert cluster.deleted == [name]
    assert len(cluster.created) == 2
    assert "failed before; making it again" in words


def test_a_job_whose_failure_is_over_is_left_alone(cluster: Cluster, words: Words) -> None:
    name = start(words)
    cluster.jobs[name] = {"status": {"conditions": [{"type": "Failed", "status": "False"}]}}
    start(words)
    assert cluster.deleted == []


@pytest.mark.parametrize("parameter", ["epoch=3", "epochs", "=3", "", "model=letters", "requirement=REQ-1"])
def test_an_unknown_parameter_names_those_that_are_known(parameter: str, cluster: Cluster, words: Words) -> None:
    with pytest.raises(DeliveryError) as raised:
        start(words, parameter)
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
        start(words, parameter)
    message = str(raised.value)
    assert message.startswith(f"--param {parameter}: {value!r} is not allowed for {name} (")
    assert message.endswith(f"; give {allowed}, as models/digits/model.yaml says")
    assert cluster.created == []


def test_a_model_of_the_team_is_trained_with_its_own_parameters(
    cluster: Cluster, words: Words, project: Project, tmp_path: Path
) -> None:
    """No framework file names it: a folder with a document, and an entry of the stack file."""
    folder = tmp_path / "models"
    (folder / "letters").mkdir(parents=True)
    text = (ROOT / "models" / "digits" / "model.yaml").read_text().replace("name: digits", "name: letters")
    (folder / "letters" / "model.yaml").write_text(text.replace("epochs:", "rounds:"))
    project.edit("dev", lambda config: config["training"].update(letters=config["training"]["digits"]))
    cluster.model = "letters"
    train.train("letters", ["rounds=3"], [], words.console, Models(folder))
    (job,) = cluster.created
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["letters", "--rounds", "3"]
    with pytest.raises(DeliveryError, match=r"--param epochs=3: not known; allowed: rounds=…, learning_rate=…"):
        train.train("letters", ["epochs=3"], [], words.console, Models(folder))


def test_a_model_without_a_pipeline_is_named(cluster: Cluster, words: Words) -> None:
    with pytest.raises(DeliveryError) as raised:
        start(words, model="letters")
    assert str(raised.value) == ("stacks/Pulumi.dev.yaml: stellwerk:training has no 'letters'; models there: digits")


def test_an_environment_that_was_never_applied_says_what_to_run(cluster: Cluster, words: Words) -> None:
    cluster.template = None
    with pytest.raises(DeliveryError, match="there is no template train-digits; run `pulumi up --stack dev`"):
        start(words)


def test_a_job_is_followed_to_its_end(
    cluster: Cluster, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = start(words)
    cluster.pods = [{"status": {"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}}]

    def later(seconds: float) -> None:
        clock.now += seconds
        cluster.log = '{"message": "epoch 1"}\nnot JSON\n'
        if clock.now > 3:
            cluster.log += '{"message": "published"}\n'
            cluster.jobs[name] = condition("Complete")

    monkeypatch.setattr(train.time, "sleep", later)
    train.wait(name, words.console)
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
    name = start(words)
    cluster.log = log
    cluster.jobs[name] = condition("Failed", message="Job was active longer than specified deadline")
    with pytest.raises(DeliveryError, match=f"^job {name} failed: {reason}$"):
        train.wait(name, words.console)


def test_a_job_that_was_deleted_is_not_waited_for(cluster: Cluster, words: Words) -> None:
    with pytest.raises(DeliveryError, match="job train-digits-00000000 was deleted"):
        train.wait("train-digits-00000000", words.console)


QUOTA = {
    "metadata": {"name": "quota"},
    "spec": {"hard": {"requests.cpu": "8", "requests.memory": "12Gi", "pods": "40"}},
}


def refused(message: str, uid: str = "this") -> dict[str, Any]:
    return {"type": "Warning", "reason": "FailedCreate", "message": message, "involvedObject": {"uid": uid},
            "lastTimestamp": "2026-01-31T12:00:00Z"}  # fmt: skip


def exceeded(requested: str, used: str, limited: str) -> dict[str, Any]:
    """In the API server's own words."""
    return refused(
        f'Error creating: pods "train-digits-1-x7k2p" is forbidden: exceeded quota: quota, requested: {requested}, '
        f"used: {used}, limited: {limited}"
    )


def pod(name: str, cpu: str, phase: str = "Running", node: str = "node", namespace: str = "dev-serving") -> Any:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": cpu}}}]},
        "status": {"phase": phase},
    }


def needs(cluster: Cluster, **requests: str) -> None:
    assert cluster.template
    spec = cluster.template["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    spec["containers"][0]["resources"] = {"requests": requests}


def follow(cluster: Cluster, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch, until: float = 5) -> str:
    """Waits until the Job, which is there, is let end; what was said."""
    name = start(words)

    def later(seconds: float) -> None:
        clock.now += seconds
        if clock.now > until:
            cluster.jobs[name] = condition("Complete")

    monkeypatch.setattr(train.time, "sleep", later)
    train.wait(name, words.console)
    return words.stream.getvalue()


def test_what_the_scheduler_says_is_shown_with_what_takes_the_room(
    cluster: Cluster, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    cluster.pods = [pod("train", "1") | {"status": {"conditions": [reason]}}]
    real = {"metadata": {"name": "node"}, "status": {"allocatable": {"cpu": "2"}}}
    simulated = {"metadata": {"name": "gpu", "annotations": {"kwok.x-k8s.io/node": "fake"}}, "status": {}}
    cluster.nodes = [real, simulated]
    cluster.others = [
        pod("small", "50m"),
        pod("big", "1500m"),
        pod("done", "1", "Succeeded"),
        pod("sim", "4", node="gpu"),
    ]
    text = follow(cluster, words, clock, monkeypatch)
    assert text.count("not scheduled: 0/1 nodes are available: 1 Insufficient cpu.") == 1
    assert "2 pods request 1.55 of 2.00 cpu; the biggest:" in text
    assert text.index("dev-serving/big: 1.50") < text.index("dev-serving/small: 0.05")
    assert "sim" not in text.split("started")[1]


def test_a_job_that_fits_on_no_node_is_told(
    cluster: Cluster, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    cluster.pods = [pod("train", "3") | {"status": {"conditions": [reason]}}]
    cluster.nodes = [{"metadata": {"name": "node"}, "status": {"allocatable": {"cpu": "2"}}}]
    text = follow(cluster, words, clock, monkeypatch)
    assert "it requests 3.00 cpu, and the largest node has 2.00: it fits on none of them" in text


def test_a_job_that_waits_for_the_quota_says_so_at_once(
    cluster: Cluster, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(cluster, cpu="500m")
    cluster.quotas = [QUOTA]
    cluster.others = [pod("train-digits-2-a", "7500m", namespace="dev-training")]
    name = start(words)
    cluster.events["Job", name] = [exceeded("requests.cpu=500m", "requests.cpu=7800m", "requests.cpu=8")]
    text = follow(cluster, words, clock, monkeypatch)
    assert (
        "waits for room in the quota: FailedCreate: Error creating: its pod is forbidden: exceeded quota: quota" in text
    )
    assert "requests.cpu=7800m, limited: requests.cpu=8" in text
    assert "dev-training/train-digits-2-a: 7.50" in text


@pytest.mark.parametrize("requests", [{"cpu": "9"}, {"memory": "13Gi"}])
def test_what_the_quota_never_allows_is_refused_before_it_starts(
    requests: dict[str, str], cluster: Cluster, words: Words
) -> None:
    needs(cluster, **requests)
    cluster.quotas = [QUOTA]
    with pytest.raises(
        DeliveryError, match=r"^dev-training: its quota 'quota' allows requests\.\w+=.*it can never run; raise"
    ):
        start(words)
    assert cluster.created == []


def test_a_quota_that_was_lowered_since_ends_the_waiting(cluster: Cluster, words: Words) -> None:
    needs(cluster, cpu="500m")
    name = start(words)
    cluster.quotas = [{"metadata": {"name": "quota"}, "spec": {"hard": {"requests.cpu": "400m"}}}]
    cluster.events["Job", name] = [exceeded("requests.cpu=500m", "requests.cpu=0", "requests.cpu=400m")]
    with pytest.raises(DeliveryError, match=rf"allows requests\.cpu=400m.* can never run; .*delete job {name}"):
        train.wait(name, words.console)


def test_no_pod_allowed_at_all_ends_the_waiting(cluster: Cluster, words: Words) -> None:
    cluster.quotas = [{"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}]
    with pytest.raises(DeliveryError, match="its quota 'none' allows pods=0"):
        start(words)


@pytest.mark.parametrize(
    "message",
    [
        'Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged',
        'Error creating: pods "x" is forbidden: failed quota: quota: must specify limits.cpu',
        'Error creating: pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
        'Error creating: admission webhook "policy.test" denied the request: no',
    ],
)
def test_a_refusal_that_stays_ends_the_waiting(message: str, cluster: Cluster, words: Words) -> None:
    name = start(words)
    cluster.events["Job", name] = [refused(message)]
    with pytest.raises(DeliveryError, match=f"^job {name}: its pods are refused: FailedCreate: Error creating: "):
        train.wait(name, words.console)


def test_other_refusals_and_those_of_a_job_before_are_no_end(
    cluster: Cluster, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = start(words)
    cluster.events["Job", name] = [
        refused('Error creating: pods "x" is forbidden: error looking up service account'),
        refused('Error creating: pods "x" is forbidden: violates PodSecurity', uid="before"),
    ]
    assert "its pod is forbidden: error looking up service account" in follow(cluster, words, clock, monkeypatch)


def test_a_suspended_job_says_how_it_goes_on(
    cluster: Cluster, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = start(words)
    cluster.jobs[name]["spec"]["suspend"] = True
    assert f"suspended: somebody stopped it; `kubectl -n dev-training patch job {name}" in follow(
        cluster, words, clock, monkeypatch
    )


def container(**state: Any) -> Any:
    limits = {"resources": {"limits": {"memory": "2Gi"}}}
    return {
        "metadata": {"name": "pod"},
        "spec": {"containers": [limits]},
        "status": {"containerStatuses": [{"state": state}]},
    }


def test_an_image_that_cannot_be_pulled_ends_the_waiting(
    cluster: Cluster, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.pods = [container(waiting={"reason": "ImagePullBackOff", "message": "not found"})]
    with pytest.raises(DeliveryError, match=r"cannot start: ImagePullBackOff not found"):
        follow(cluster, words, clock, monkeypatch, until=1000)
    assert 60 <= clock.now < 70


def test_a_volume_that_cannot_be_mounted_is_told(
    cluster: Cluster, words: Words, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.pods = [container(waiting={"reason": "ContainerCreating"})]
    mount = refused('MountVolume.SetUp failed for volume "ca": secret "gone" not found') | {"reason": "FailedMount"}
    cluster.events["Pod", "pod"] = [mount]
    assert 'FailedMount: MountVolume.SetUp failed for volume "ca"' in follow(cluster, words, clock, monkeypatch)


def test_a_job_that_ran_out_of_memory_or_time_says_so(cluster: Cluster, words: Words, clock: Clock) -> None:
    name = start(words)
    cluster.log = '{"message": "epoch 1"}\n'
    cluster.pods = [container(terminated={"reason": "OOMKilled", "exitCode": 137})]
    cluster.jobs[name] = condition("Failed", message="Job has reached the specified backoff limit")
    with pytest.raises(DeliveryError, match="failed: OOMKilled: it needs more memory than its limit of 2Gi; raise"):
        train.wait(name, words.console)
    late = Waiting(name)
    late.look({"spec": {"suspend": True}})
    cluster.pods = []
    assert late.reason({"message": "Job was active longer than specified deadline"}, []).startswith(
        "Job was active longer than specified deadline; it waited: suspended"
    )


def test_what_may_not_be_seen_stops_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: str, **__: str) -> str:
        raise DeliveryError("cluster of dev: nodes is forbidden")

    monkeypatch.setattr(kube, "kubectl", forbidden)
    assert room("dev", "cpu") == []
    assert events("dev", "dev-training", "Job", "any") == []
    refuse_beyond_quota("dev", "dev-training", {"containers": [{"resources": {"requests": {"cpu": "9"}}}]}, "no")


@pytest.mark.parametrize(
    ("text", "number"), [("500m", 0.5), ("2", 2), ("2Gi", 2 << 30), ("1.5", 1.5), ("100M", 1e8), ("1e3", 1000)]
)
def test_quantities(text: str, number: float) -> None:
    assert quantity(text) == number
