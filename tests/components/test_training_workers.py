"""Several workers of a training pipeline: an Indexed Job whose pods find and reach one another."""

from typing import Any

from components.kit.names import RUNTIME_LABEL
from components.training.training_pipeline import TrainingPipeline, TrainingPipelineArgs
from tests.components.mocks import declared
from tests.program.harness import Recording


def pipeline(**more: Any) -> Recording:
    args: TrainingPipelineArgs = {
        "namespace": "dev-training",
        "model": "shapes",
        "image": "registry.invalid/shapes@sha256:0",
        "revision": "0123456",
        "pull_secret": "pull",
        "tracking": {"uri": "http://tracking"},
        "store": {"bucket": "models", "keys": {"access_key": "a", "secret_key": "b"}},
        "cpu": "1",
        "memory": "1Gi",
        **more,  # type: ignore[typeddict-item]
    }
    return declared(lambda: TrainingPipeline("train-shapes", args))


def of_kind(recorded: Recording, kind: str) -> list[dict[str, Any]]:
    return [values for name, values in recorded.inputs.items() if name.partition("::")[0].endswith(f":{kind}")]


def job(recorded: Recording) -> dict[str, Any]:
    (template,) = of_kind(recorded, "CronJob")
    spec: dict[str, Any] = template["spec"]["jobTemplate"]["spec"]
    return spec


def test_one_worker_is_a_plain_job() -> None:
    recorded = pipeline()
    assert "completionMode" not in job(recorded)
    assert "command" not in job(recorded)["template"]["spec"]["containers"][0]
    assert of_kind(recorded, "NetworkPolicy") == of_kind(recorded, "Service") == []


def test_workers_meet_at_the_first_pod_and_reach_one_another_alone() -> None:
    recorded = pipeline(workers=3, node_pool="gpu", devices={"nvidia.com/gpu": "2"})
    spec = job(recorded)
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    words = container["command"]
    assert words[:3] == ["python", "-m", "torch.distributed.run"] and words[-2:] == ["-m", "training"]
    assert {"--nnodes=3", "--nproc-per-node=2", "--node-rank=$(JOB_COMPLETION_INDEX)"} < set(words)
    variables = [each["name"] for each in container["env"]]
    first = next(each for each in container["env"] if each["name"] == "STELLWERK_FIRST_WORKER")
    (service,) = of_kind(recorded, "Service")
    assert pod["subdomain"] == service["metadata"]["name"]
    assert first["value"] == f"$(JOB_NAME)-0.{pod['subdomain']}"
    assert variables.index("JOB_NAME") < variables.index("STELLWERK_FIRST_WORKER"), "else it is not put in"
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    labels = spec["template"]["metadata"]["labels"]
    (policy,) = of_kind(recorded, "NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"] == labels == service["spec"]["selector"]
    assert policy["spec"]["ingress"] == [{"from": [{"podSelector": {"matchLabels": labels}}]}]


def test_of_kubeflow_trainer_they_are_a_runtime_with_the_same_pods() -> None:
    recorded = pipeline(workers=3, node_pool="gpu", devices={"nvidia.com/gpu": "2"}, trainer=True)
    (runtime,), (template,) = of_kind(recorded, "TrainingRuntime"), of_kind(recorded, "CronJob")
    title = runtime["metadata"]["name"]
    assert template["spec"]["jobTemplate"]["metadata"]["labels"][RUNTIME_LABEL] == title
    assert runtime["spec"]["mlPolicy"] == {"numNodes": 3, "torch": {"numProcPerNode": 2}}
    (replicated,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    assert replicated["template"]["spec"] == job(recorded)
    pod = job(recorded)["template"]["spec"]
    (container,) = pod["containers"]
    assert replicated["name"] == container["name"] == "node", "the Trainer knows it by its name"
    assert {"--nnodes=3", "--nproc-per-node=2"} < set(container["command"])
    assert "subdomain" not in pod and of_kind(recorded, "Service") == [], "JobSet has a Service of its own"
    assert len(of_kind(recorded, "NetworkPolicy")) == 1


def test_one_worker_needs_no_kubeflow_trainer() -> None:
    recorded = pipeline(trainer=True)
    assert of_kind(recorded, "TrainingRuntime") == [] and "completionMode" not in job(recorded)
