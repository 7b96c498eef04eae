"""Who depends on KServe's controller, who pushes images, and what a namespace may take beside CPU and memory."""

import json
from collections.abc import Mapping

from tests.program.harness import SECRET, SENTINEL, SIGNATURE, Recording, shown, stack_values

CONTROLLER = "kserve-controller-manager"


def test_nothing_that_is_made_in_a_namespace_waits_for_kserves_controller(programs: Mapping[str, Recording]) -> None:
    """Pods, Jobs, Deployments come and go while it is away: its webhooks are asked about inference services only."""
    hooks = [
        hook
        for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
        for configuration in programs["dev"].of_kind(kind).values()
        for hook in configuration["webhooks"]
    ]
    assert len(hooks) == 2
    for hook in hooks:
        assert [rule["resources"] for rule in hook["rules"]] == [["inferenceservices"]]
        assert hook["clientConfig"]["service"]["namespace"] == "dev-kserve"


def test_one_of_two_controllers_may_go(programs: Mapping[str, Recording]) -> None:
    dev = programs["dev"]
    manager = dev.of_kind("Deployment")["kserve"]
    assert manager["metadata"]["namespace"] == "dev-kserve"
    assert manager["spec"]["replicas"] == 2
    assert "strategy" not in manager["spec"], "the default starts the third before it stops one of two"
    (container,) = manager["spec"]["template"]["spec"]["containers"]
    assert "--leader-elect" in container["args"]
    budget = dev.of_kind("PodDisruptionBudget")["kserve-budget"]["spec"]
    assert budget == {"minAvailable": 1, "selector": manager["spec"]["selector"]}
    leases = dev.of_kind("Role")["kserve-leases"]
    assert leases["metadata"]["namespace"] == "dev-kserve"
    (rule,) = leases["rules"]
    assert {"get", "create", "update"} <= set(rule["verbs"])


def test_a_pod_that_answers_late_stays_in_its_service(programs: Mapping[str, Recording]) -> None:
    """On a busy node all replicas answer late: without any of them KServe's webhook refuses each change of a model."""
    asked = {
        f"{stack}: {name}": container["readinessProbe"]
        for stack, program in programs.items()
        for kind in ("Deployment", "StatefulSet")
        for name, workload in program.of_kind(kind).items()
        for container in workload["spec"]["template"]["spec"]["containers"]
        if "httpGet" in container.get("readinessProbe", {})
    }
    assert {"dev: kserve", "prod: gateway"} <= set(asked)
    impatient = [name for name, probe in asked.items() if probe.get("timeoutSeconds", 1) < 5]
    assert not impatient, "taken out by an answer that was only late"


def test_only_builds_have_the_login_that_pushes(programs: Mapping[str, Recording]) -> None:
    for stack, program in programs.items():
        text = str(program.inputs)
        builds = [image for key, image in program.inputs.items() if "docker-build" in key and "registries" in image]
        assert bool(builds) == (stack == "dev")
        for image in builds:
            (login,) = image["registries"]
            assert shown(login)["username"] == "builder"
            assert login["password"] == {SIGNATURE: SECRET, "value": f"{SENTINEL}-push"}
        assert text.count(f"{SENTINEL}-push") == len(builds)
        pulls = {key: value for key, value in program.inputs.items() if ":Secret::pull-" in key}
        assert len(pulls) == (3 if stack == "dev" else 2)
        for inputs in pulls.values():
            login = json.loads(inputs["stringData"]["value"][".dockerconfigjson"])["auths"][
                stack_values(stack)["registry"]["address"]
            ]
            assert login["username"] == stack


def test_node_ports_scratch_space_and_pods_are_bounded_in_every_namespace(program: Recording) -> None:
    spaces = {inputs["metadata"]["name"] for inputs in program.of_kind("Namespace").values()}
    ports: dict[str, int] = {}
    for inputs in program.of_kind("Service").values():
        space = inputs["metadata"]["namespace"]
        ports[space] = ports.get(space, 0) + (inputs["spec"].get("type") == "NodePort")
    quotas = {
        inputs["metadata"]["namespace"]: inputs["spec"]["hard"] for inputs in program.of_kind("ResourceQuota").values()
    }
    limits = {
        inputs["metadata"]["namespace"]: inputs["spec"]["limits"] for inputs in program.of_kind("LimitRange").values()
    }
    bounded = {space for space in spaces if not space.endswith("-logging")}
    assert set(quotas) == set(limits) == bounded
    for space, quota in quotas.items():
        assert int(quota["services.nodeports"]) == ports.get(space, 0), f"{space}: a port too many, or too few"
        assert "limits.ephemeral-storage" in quota
        assert "ephemeral-storage" in limits[space][0]["default"], "a pod without a limit would be refused by the quota"
