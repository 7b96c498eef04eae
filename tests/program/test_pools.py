"""Pools of all kinds in the whole program: what is declared for them, and what workloads ask of them."""

from typing import Any

from components.kit.names import GPU, POOL_LABEL
from tests.program.conftest import Run
from tests.program.harness import stack_values
from tests.program.test_stacks import workloads

INSTANCE = "nvidia.com/mig-1g.10gb"
RELEASE = {"release": "v2-3f2a9c1d", "previous": None}


def values(pools: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    given = stack_values("dev")
    given["nodePools"] = pools
    given["models"]["digits"].update(RELEASE, nodePool=pools[0]["name"])
    for training in given["training"].values():
        training["nodePool"] = pools[0]["name"]
    return given | more


def pods(program: Any) -> dict[str, Any]:
    return {name: pod for name, _, pod in workloads(program) if name in ("digits", "train-digits")}


def test_instances_of_gpus_are_offered_and_asked_for(run: Run) -> None:
    layout = {"mig": {"1g.10gb": 4, "3g.40gb": 1}}
    pool = {"name": "gpus", "kind": "simulated", "accelerator": "nvidia-h100", "gpus": 2, "nodes": 1, "sharing": layout}
    given = values([pool])
    given["models"]["digits"]["gpu"] = "mig-1g.10gb"
    given["training"]["digits"]["gpu"] = "mig-3g.40gb"
    program = run(given, "dev")
    node = program.of_kind("Node")["gpus-0"]
    capacity = node["metadata"]["annotations"]["stellwerk.dev/capacity"]["[JSON]"]
    assert (capacity[INSTANCE], capacity["nvidia.com/mig-3g.40gb"], GPU in capacity) == ("8", "2", False)
    labels = node["metadata"]["labels"]
    assert labels["nvidia.com/mig-1g.10gb.count"] == "8"
    assert labels["nvidia.com/mig.strategy"] == "mixed"
    (trainer,) = pods(program)["train-digits"]["containers"]
    assert trainer["resources"]["limits"]["nvidia.com/mig-3g.40gb"] == "1"
    (service,) = program.of_kind("InferenceService").values()
    model = service["spec"]["predictor"]["model"]
    assert model["resources"]["limits"][INSTANCE] == "1"
    assert {"name": "STELLWERK_DEVICE", "value": "cuda"} in model["env"]


def test_a_shared_gpu_is_offered_as_several(run: Run) -> None:
    sharing = {"timeSlicing": {"replicas": 4}}
    pool = {"name": "gpus", "kind": "simulated", "accelerator": "nvidia-t4", "gpus": 2, "nodes": 1, "sharing": sharing}
    node = run(values([pool]), "dev").of_kind("Node")["gpus-0"]
    assert node["metadata"]["annotations"]["stellwerk.dev/capacity"]["[JSON]"][GPU] == "8"
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == "Tesla-T4-SHARED"
    assert node["metadata"]["labels"]["nvidia.com/gpu.sharing-strategy"] == "time-slicing"


def test_nodes_without_gpus_have_no_taint_of_theirs(run: Run) -> None:
    pool = {"name": "large", "kind": "simulated", "nodes": 1, "taints": [{"key": "team", "value": "vision"}]}
    program = run(values([pool]), "dev")
    assert program.of_kind("Node")["large-0"]["spec"]["taints"] == [
        {"key": "team", "value": "vision", "effect": "NoSchedule"}
    ]
    for pod in pods(program).values():
        assert pod["nodeSelector"] == {POOL_LABEL: "large"}
        assert pod["tolerations"] == [{"key": "team", "operator": "Exists"}]
    (job,) = [pod for name, pod in pods(program).items() if name == "train-digits"]
    assert {"name": "STELLWERK_DEVICE", "value": "cpu"} in job["containers"][0]["env"]


def test_existing_nodes_are_labelled_for_the_operator(run: Run) -> None:
    pool = {
        "name": "ours", "kind": "existing", "accelerator": "nvidia-l40s", "gpus": 1,
        "select": {"names": ["node-1", "node-2"]}, "sharing": {"mps": {"replicas": 3}},
    }  # fmt: skip
    program = run(values([pool], gpuOperator={"mode": "existing"}), "dev")
    nodes = {name: each for name, each in program.inputs.items() if ":NodePatch::" in name}
    assert len(nodes) == 2
    for node in nodes.values():
        assert node["metadata"]["labels"] == {
            POOL_LABEL: "ours", "nvidia.com/device-plugin.config": "ours", "nvidia.com/mps.capable": "true"
        }  # fmt: skip
        assert node["spec"]["taints"] == [{"key": GPU, "value": "present", "effect": "NoSchedule"}]
    (patch,) = [each for name, each in program.inputs.items() if ":ClusterPolicyPatch::" in name]
    assert patch["spec"]["mig"] == {"strategy": "mixed"}


def test_an_elastic_pool_is_karpenter_s_and_costs_nothing_yet(run: Run) -> None:
    machine = {"name": "l4", "cpu": "8", "memory": "32Gi", "pricePerHour": 1.5}
    pool = {
        "name": "burst", "kind": "elastic", "accelerator": "nvidia-l4", "gpus": 1, "nodes": 4,
        "elastic": {"provider": "kwok", "instanceTypes": [machine], "consolidateAfter": "30s"},
    }  # fmt: skip
    program = run(values([pool]), "dev")
    (made,) = [each for name, each in program.inputs.items() if "karpenter.sh/v1:NodePool::" in name]
    assert made["metadata"]["name"] == "burst"
    assert made["spec"]["template"]["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-L4"
    assert program.outputs["nodePools"] == {"burst": {"nodes": 0, "most": 4, "pricePerHour": 1.5}}


def test_pods_go_where_labels_are_that_nobody_here_has_put_there(run: Run) -> None:
    labels = {"cloud.example.com/group": "large"}
    pool = {
        "name": "large", "kind": "existing", "nodes": 3, "select": {"labels": labels},
        "taints": [{"key": "team", "value": "vision"}],
    }  # fmt: skip
    program = run(values([pool]), "dev")
    assert not [name for name in program.inputs if ":NodePatch::" in name or ":Node::" in name]
    for pod in pods(program).values():
        assert pod["nodeSelector"] == labels
        assert pod["tolerations"] == [{"key": "team", "operator": "Exists"}]
    template = program.of_kind("CronJob")["train-digits"]
    job = template["spec"]["jobTemplate"]["spec"]["template"]
    assert job["metadata"]["annotations"][POOL_LABEL] == "large"
    (service,) = program.of_kind("InferenceService").values()
    assert service["spec"]["predictor"]["annotations"] == {POOL_LABEL: "large"}


def test_devices_of_a_class_are_claimed_and_not_counted(run: Run) -> None:
    pool = {
        "name": "gpus", "kind": "external", "accelerator": "nvidia-h100", "gpus": 8, "nodes": 2,
        "deviceClass": "gpu.nvidia.com",
    }  # fmt: skip
    given = values([pool])
    given["training"]["digits"]["gpu"] = 2
    program = run(given, "dev")
    made = {each["metadata"]["name"]: each for each in program.of_kind("ResourceClaimTemplate").values()}
    for workload, count in (("digits-predictor", 1), ("train-digits", 2)):
        (asked,) = made[f"{workload}-{count}-gpu.nvidia.com"]["spec"]["spec"]["devices"]["requests"]
        wanted = {"deviceClassName": "gpu.nvidia.com", "allocationMode": "ExactCount", "count": count}
        assert asked["exactly"] == wanted
    (trainer,) = pods(program)["train-digits"]["containers"]
    (service,) = program.of_kind("InferenceService").values()
    model, predictor = service["spec"]["predictor"]["model"], service["spec"]["predictor"]
    for container in (trainer, model):
        assert container["resources"]["claims"] == [{"name": "devices"}]
        assert GPU not in container["resources"]["limits"]
        assert {"name": "STELLWERK_DEVICE", "value": "cuda"} in container["env"]
    claims = (predictor["resourceClaims"], pods(program)["train-digits"]["resourceClaims"])
    assert [each["resourceClaimTemplateName"] for (each,) in claims] == list(sorted(made))
    given["training"]["digits"]["gpu"] = given["models"]["digits"]["gpu"] = 0
    assert run(given, "dev").of_kind("ResourceClaimTemplate") == {}
