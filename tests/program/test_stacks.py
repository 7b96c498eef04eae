"""The whole program of dev, test and prod: what it declares, and what it refuses."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from components.kit.names import GPU, POOL_LABEL
from components.logging.log_shipper import embedded_target, shipper_config
from infra.contract.release import Releases
from tests.program.conftest import FIXTURES, STACKS, Programs, Run
from tests.program.harness import DIGEST, SENTINEL, Recording, leaks, shown, stack_values
from tests.program.pod_security import containers, violations
from tests.program.test_models import revision

RELEASE = "v2-3f2a9c1d"
IMAGE = Releases(FIXTURES).load("digits", RELEASE).serving.image


class Yaml(SingleFileSnapshotExtension):
    """One file per stack."""

    file_extension = "yaml"
    _write_mode = WriteMode.TEXT

    def serialize(self, data: Any, **_: Any) -> str:
        text: str = yaml.safe_dump(data, width=120, default_flow_style=None, allow_unicode=True)
        return text


@pytest.mark.parametrize("stack", STACKS)
def test_program(stack: str, programs: Programs, snapshot: SnapshotAssertion) -> None:
    assert programs[stack].tree() == snapshot(extension_class=Yaml)


def test_inference_service(released: Programs, snapshot: SnapshotAssertion) -> None:
    assert released["prod"].tree()["stellwerk:index:InferenceService::digits"] == snapshot(extension_class=Yaml)


def test_a_runtime_of_the_environment_s_own(run: Run, snapshot: SnapshotAssertion) -> None:
    values = stack_values("prod")
    values["cluster"]["ownRuntime"] = True
    program = run(values, "prod")
    assert program.tree()["stellwerk:index:ModelRuntime::runtime"] == snapshot(extension_class=Yaml)
    (runtime,) = program.of_kind("ServingRuntime").values()
    assert runtime["metadata"]["namespace"] == "prod-serving", "nothing of it is the whole cluster's"


@pytest.fixture(params=["null", "release"])
def each(request: pytest.FixtureRequest, programs: Programs, released: Programs) -> Programs:
    """The stacks without a release, and with one."""
    return programs if request.param == "null" else released


@pytest.mark.parametrize("stack", STACKS)
def test_no_secret_stands_outside_a_secret(stack: str, each: Programs) -> None:
    program = each[stack]
    assert list(leaks(program.inputs)) == []
    assert list(leaks(program.outputs)) == []
    assert "[secret]" in json.dumps(shown(program.inputs)), "no secret at all: the check looks at nothing"


def workloads(program: Recording) -> Iterator[tuple[str, str, Any]]:
    """Name, namespace and pod spec of everything that runs pods."""
    for kind in ("Deployment", "DaemonSet", "StatefulSet"):
        for name, inputs in program.of_kind(kind).items():
            yield name, inputs["metadata"]["namespace"], inputs["spec"]["template"]["spec"]
    for name, inputs in program.of_kind("CronJob").items():
        yield name, inputs["metadata"]["namespace"], inputs["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for name, inputs in program.of_kind("InferenceService").items():
        yield name, inputs["metadata"]["namespace"], inputs["spec"]["predictor"]


def served(predictor: Any, runtime: Any) -> Any:
    """The pod that KServe makes: the predictor's, with the runtime's container under the model's values."""
    (container,) = runtime["spec"]["containers"]
    values = {key: value for key, value in predictor["model"].items() if key in ("image", "env", "resources")}
    volumes = [*predictor["volumes"], *runtime["spec"]["volumes"]]
    return predictor | {"containers": [container | values], "volumes": volumes}


def pods(stack: str, each: Programs) -> Iterator[tuple[str, str, Any]]:
    """Every pod of a stack; the serving runtime is the one of the cluster's owner."""
    runtime = each["dev"].of_kind("ClusterServingRuntime")["kserve-runtime"]
    for name, namespace, pod in workloads(each[stack]):
        yield name, namespace, served(pod, runtime) if "model" in pod else pod


@pytest.mark.parametrize("stack", STACKS)
def test_pods_are_restricted_and_only_the_log_shipper_is_not(stack: str, each: Programs) -> None:
    levels = {
        inputs["metadata"]["name"]: inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for inputs in each[stack].of_kind("Namespace").values()
    }
    broken = {name: rules for name, _, pod in pods(stack, each) if (rules := violations(pod))}
    shipper = broken.pop("logs-shipper", [])
    assert broken == {}
    assert {rule.partition(": ")[0] for rule in shipper} <= {"volume pod-logs", "volume positions", "log-shipper",
                                                             "runAsUser is 0"}  # fmt: skip
    privileged = {name for name, level in levels.items() if level != "restricted"}
    assert privileged == ({"dev-logging"} if stack == "dev" else set())
    assert {name for name, namespace, _ in pods(stack, each) if namespace in privileged} <= {
        "logs-shipper",
        "logs-events",
    }
    assert {namespace for _, namespace, _ in pods(stack, each)} <= set(levels), "a pod in somebody else's namespace"


@pytest.mark.parametrize("stack", STACKS)
def test_the_log_shippers_know_the_environment_of_every_namespace(stack: str, each: Programs) -> None:
    pattern = shipper_config(embedded_target("dev-platform"))["receivers"]["podlogs"]["environment"]
    names = [inputs["metadata"]["name"] for inputs in each[stack].of_kind("Namespace").values()]
    assert names
    assert {name: (match := re.search(pattern, name)) and match[1] for name in names} == dict.fromkeys(names, stack)


@pytest.mark.parametrize("stack", STACKS)
def test_images_are_pinned_and_those_of_the_own_registry_by_digest(stack: str, each: Programs) -> None:
    registry = stack_values(stack)["registry"]["address"]
    images = {container["image"] for _, _, pod in pods(stack, each) for container in containers(pod)}
    assert images
    for image in images:
        name, _, digest = image.partition("@")
        tag = name.rpartition("/")[2].partition(":")[2]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or (tag and tag != "latest"), f"{image} is not pinned"
        assert digest or not image.startswith(registry), f"{image} is not pinned by digest"


def test_what_dev_builds_runs_by_digest(programs: Programs) -> None:
    built = {name.removesuffix("-image") for name in programs["dev"].of_kind("Image")} - {"base-python"}
    assert built == {"serving", "training-pytorch", "model-digits", "mlflow", "postgres", "elasticsearch"}
    registry = stack_values("dev")["registry"]["address"]
    expected = {name: f"{registry}/{name}@{DIGEST}" for name in built}
    assert programs["dev"].outputs["images"] == expected
    runtime = programs["dev"].of_kind("ClusterServingRuntime")["kserve-runtime"]["spec"]
    running = {
        each["image"] for _, _, pod in [*workloads(programs["dev"]), ("", "", runtime)] for each in containers(pod)
    }
    parents = {image.get("buildArgs", {}).get("PARENT_IMAGE") for image in programs["dev"].of_kind("Image").values()}
    assert set(expected.values()) <= running | parents


def test_a_null_release_comes_up_with_namespace_quota_and_route(program: Recording) -> None:
    assert program.of_kind("InferenceService") == {}
    names = {inputs["metadata"]["name"] for inputs in program.of_kind("Namespace").values()}
    (serving,) = (name for name in names if name.endswith("-serving"))
    quotas = {inputs["metadata"]["namespace"] for inputs in program.of_kind("ResourceQuota").values()}
    assert serving in quotas
    routes = program.of_kind("ConfigMap")["gateway-routes"]["data"]["routes.yaml"]["[JSON]"]["http"]
    assert "`/v2/models/digits/`" in routes["routers"]["digits"]["rule"]
    (server,) = routes["services"]["digits"]["loadBalancer"]["servers"]
    assert server["url"] == f"http://digits-predictor.{serving}.svc.cluster.local"
    assert program.outputs["models"] == {"digits": None}


@pytest.mark.parametrize("stack", STACKS)
def test_a_release_is_served_with_its_image_and_artefact(stack: str, programs: Programs, released: Programs) -> None:
    (service,) = released[stack].of_kind("InferenceService").values()
    predictor = service["spec"]["predictor"]
    (fetch,) = predictor["initContainers"]
    digest = "sha256:3f2a9c1d" + "0" * 56
    assert predictor["model"]["image"] == fetch["image"] == IMAGE
    said = {entry["name"]: entry.get("value") for entry in predictor["model"]["env"]}
    assert said == {
        "ENVIRONMENT": stack,
        "MODEL_NAME": "digits",
        "MODEL_DIGEST": digest,
        "RELEASE": RELEASE,
        "RUN_ID": "0123456789abcdef",
        "STELLWERK_DEVICE": "cuda",
    }
    fetched = {entry["name"]: entry.get("value") for entry in fetch["env"]}
    assert fetched["MODEL_KEY"] == f"digits/{digest.replace(':', '-')}.onnx"
    assert fetched["MODEL_DIGEST"] == digest
    assert (service["metadata"]["name"], service["metadata"]["namespace"]) == ("digits", f"{stack}-serving")
    assert released[stack].outputs["models"] == {"digits": RELEASE}
    more = set(released[stack].inputs) - set(programs[stack].inputs)
    names = {"digits", "digits-secret", "digits-ingress", "digits-replicas", "digits-budget"}
    assert {key.rpartition(":")[2] for key in more} == names


def test_an_update_waits_for_this_revision_and_a_preview_for_nothing(released: Programs) -> None:
    program = released["prod"]
    (budget,) = [key for key in program.waits if key.endswith(":PodDisruptionBudget::digits-budget")]
    (scale,) = [key for key in program.waits if key.endswith(":DeploymentPatch::digits-replicas")]
    assert program.waits[budget] == (["digits-serves"], ["digits-serves"])
    assert program.waits[scale] == (["digits-declared"], ["digits-declared"])
    assert all(not (hook.opts and hook.opts.on_dry_run) for hook in program.hooks.values())
    annotations = program.of_kind("PodDisruptionBudget")["digits-budget"]["metadata"]["annotations"]
    assert annotations["stellwerk.dev/revision"] == revision(program)
    assert annotations["stellwerk.dev/replicas"] == "1"


def test_a_slow_start_is_no_hang_and_a_hang_ends(programs: Programs) -> None:
    (container,) = programs["dev"].of_kind("ClusterServingRuntime")["kserve-runtime"]["spec"]["containers"]
    seconds = {
        kind: container[f"{kind}Probe"]["periodSeconds"] * container[f"{kind}Probe"]["failureThreshold"]
        for kind in ("startup", "readiness", "liveness")
    }
    assert seconds["startup"] >= 600, "a large model is killed while it loads"
    assert seconds["readiness"] < seconds["liveness"] <= 120, "pods are taken out before they are started anew"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"


@pytest.mark.parametrize("stack", STACKS)
def test_a_node_pool_is_selected_and_its_taint_tolerated(stack: str, programs: Programs, released: Programs) -> None:
    placed = [pod for name, _, pod in workloads(released[stack]) if name in ("digits", "train-digits")]
    assert len(placed) == (2 if stack == "dev" else 1)
    for pod in placed:
        assert pod["nodeSelector"] == {POOL_LABEL: "gpu-sim"}
        assert pod["tolerations"] == [{"key": GPU, "operator": "Exists"}]
    for name, _, pod in workloads(programs[stack]):
        assert "nodeSelector" not in pod, name
        # The log shipper runs on every node.
        assert "tolerations" not in pod or name == "logs-shipper", name


@pytest.mark.parametrize(("pool", "device", "gpus"), [(False, "cpu", None), (True, "cuda", "1")])
def test_a_job_on_a_node_pool_trains_on_a_gpu(
    pool: bool, device: str, gpus: str | None, programs: Programs, released: Programs
) -> None:
    program = (released if pool else programs)["dev"]
    (pod,) = [pod for name, _, pod in workloads(program) if name == "train-digits"]
    (container,) = pod["containers"]
    assert {"name": "STELLWERK_DEVICE", "value": device} in container["env"]
    assert container["resources"]["limits"].get(GPU) == gpus


def test_only_dev_declares_the_nodes_of_the_pool(programs: Programs) -> None:
    nodes = {stack: set(programs[stack].of_kind("Node")) for stack in STACKS}
    assert nodes == {"dev": {"gpu-sim-0", "gpu-sim-1"}, "test": set(), "prod": set()}
    node = programs["dev"].of_kind("Node")["gpu-sim-0"]
    assert node["metadata"]["labels"][POOL_LABEL] == "gpu-sim"
    assert node["spec"]["taints"] == [{"effect": "NoSchedule", "key": GPU, "value": "present"}]


def test_everything_goes_to_the_cluster_that_the_stack_names(program: Recording) -> None:
    provider = program.inputs["pulumi:providers:kubernetes::cluster"]
    assert provider["context"] == "stellwerk"
    elsewhere = [
        key
        for key, used in program.providers.items()
        if key.startswith("kubernetes:") and "pulumi:providers:kubernetes::cluster" not in used
    ]
    assert elsewhere == [], "the kubeconfig's current context would decide where these go"


def test_a_stack_is_small(program: Recording) -> None:
    assert 0 < len(program.inputs) < 300


def normalised(program: Recording, stack: str) -> Any:
    """The program with the environment's name and digests of configuration and of Secrets replaced."""
    text = re.sub(rf"\b{stack}\b", "ENVIRONMENT", json.dumps(program.tree(), sort_keys=True))
    digests = r'("stellwerk.dev/(configuration|revision|replicas-of)": )"[0-9a-f]{16}"'
    text = re.sub(digests, r'\1"digest"', text)
    return json.loads(re.sub(r'-[0-9a-f]{8}"', '-digest"', text))


def test_test_and_prod_are_one_program_under_two_names(released: Programs, run: Run) -> None:
    """prod with the values of test, but for its name, is test: nothing in the program asks for a name."""
    given = stack_values("test") | {"environment": "prod"}
    given["credentials"]["registry"]["username"] = "prod"
    given["models"]["digits"].update(release=RELEASE, previous="v1-0a1b2c3d", nodePool="gpu-sim")
    assert normalised(run(given, "prod"), "prod") == normalised(released["test"], "test")


@pytest.mark.parametrize("stack", STACKS)
def test_models_get_the_key_that_only_reads(stack: str, released: Programs) -> None:
    """A model that is broken into can't change what is served, nor write a candidate."""
    inputs = released[stack].inputs
    secrets = {name: json.dumps(value) for name, value in inputs.items() if "core/v1:Secret::" in name}
    reads = {name for name, text in secrets.items() if "-reader-access" in text}
    writes = {name for name, text in secrets.items() if f"{SENTINEL}-access" in text}
    assert "object-store-secret" in {name.split("::")[-1] for name in writes}
    assert {name.split("::")[-1] for name in reads} == {"digits-secret", "object-store-secret"}
    assert "digits-secret" not in {name.split("::")[-1] for name in writes}
    (deployment,) = (value for name, value in inputs.items() if name.endswith("Deployment::object-store"))
    writer, reader = deployment["spec"]["template"]["spec"]["containers"]
    assert "--readonly" in reader["args"]
    assert "--readonly" not in writer["args"]
    assert [mount["readOnly"] for mount in reader["volumeMounts"] if mount["name"] == "data"] == [True]
    keys = {variable["valueFrom"]["secretKeyRef"]["key"] for variable in reader["env"]}
    assert keys == {"reader-access", "reader-secret"}
    (volume,) = (one for one in deployment["spec"]["template"]["spec"]["volumes"] if one["name"] == "tls")
    assert {item["key"] for item in volume["secret"]["items"]} == {"tls.crt", "tls.key"}
    (service,) = (value for name, value in inputs.items() if name.endswith("Service::object-store-reader"))
    assert service["spec"].get("type", "ClusterIP") == "ClusterIP", "it has no port on the nodes"
    assert "https://object-store-reader." in json.dumps(
        [value for name, value in inputs.items() if "InferenceService" in name]
    )
