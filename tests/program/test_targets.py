"""The values of docs/examples: each is one file, is an environment, and makes a program."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.kit.names import POOL_LABEL
from infra.contract.stacks import StackFiles
from infra.targets import variables
from infra.targets.target import Target
from infra.values import from_file
from tests.program import harness
from tests.program.conftest import Machine
from tests.program.harness import SENTINEL, Recording, certificate, leaks
from tests.support.example_stacks import CLUSTER, NAMES, write_examples

ROLES = {use: f"arn:aws:iam::111122223333:role/{CLUSTER}-eks-{use}" for use in ("writer", "reader")}
OUTPUTS = {"kubeconfig": '{"kind": "Config"}', "environments": {"eks": ROLES}}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("examples"))


def composed(name: str, checkout: Path, machine: Machine, tmp_path: Path) -> Recording:
    """The program of an example, with credentials as `stellwerk init` writes them."""
    values = StackFiles(checkout).values(name)
    context = values["cluster"]["context"]
    named = {"name": context, "context": {"cluster": context}}
    kubeconfig = {"contexts": [named], "clusters": [{"name": context, "cluster": {}}]}
    (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig))
    given = {**machine.variables, variables.KUBECONFIG: str(tmp_path / "kubeconfig")}
    made: dict[str, Any] = harness.credentials(values)
    if "identity" in values["objectStore"]:
        del made["objectStore"]
    if values["registry"].get("kind") == "ecr":
        del made["registry"]
    whole = {**values, "caCertificate": certificate("ca"), "credentials": made}
    return harness.run(whole, name, checkout, Target(given), before={CLUSTER: OUTPUTS})


@pytest.mark.parametrize("name", NAMES)
def test_values_are_an_environment(name: str, checkout: Path) -> None:
    assert from_file(name, checkout).environment.environment == name


@pytest.mark.parametrize("name", NAMES)
def test_values_make_a_program(name: str, checkout: Path, machine: Machine, tmp_path: Path) -> None:
    program = composed(name, checkout, machine, tmp_path)
    (service,) = (each for each in program.of_kind("Service").values() if each["metadata"]["name"] == "gateway")
    balanced = "loadBalancer" in StackFiles(checkout).values(name)["gateway"]
    assert service["spec"]["type"] == ("LoadBalancer" if balanced else "NodePort")
    assert ("nodePort" in service["spec"]["ports"][0]) is not balanced
    assert list(leaks(program.inputs)) == []


def test_an_environment_on_eks_keeps_no_login(checkout: Path, machine: Machine, tmp_path: Path) -> None:
    program = composed("eks", checkout, machine, tmp_path)
    assert SENTINEL in json.dumps(program.inputs), "the certificates are secrets"
    assert not [key for key, each in program.of_kind("Secret").items() if "dockerconfig" in json.dumps(each)]
    builds = program.of_kind("Image")
    assert builds and not any(build.get("registries") for build in builds.values())
    provider = program.inputs["pulumi:providers:kubernetes::cluster"]
    assert provider["kubeconfig"] == OUTPUTS["kubeconfig"] and "context" not in provider


def test_a_model_on_eks_reads_its_file_as_its_role(checkout: Path, machine: Machine, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(checkout, root)
    shutil.copytree(machine.root / "stacks" / "releases", root / "stacks" / "releases")
    shutil.copytree(machine.root / "models", root / "models")
    file = root / "stacks" / "Pulumi.eks.yaml"
    served = "stellwerk:models: {digits: {release: v2-3f2a9c1d}}"
    file.write_text(file.read_text().replace("stellwerk:models: {}", served))
    program = composed("eks", root, machine, tmp_path)
    (account,) = (each for each in program.of_kind("ServiceAccount").values() if "digits" in each["metadata"]["name"])
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == ROLES["reader"]
    (model,) = program.of_kind("InferenceService").values()
    (fetch,) = model["spec"]["predictor"]["initContainers"]
    given = {each["name"]: each.get("value") for each in fetch["env"]}
    assert (given["AWS_REGION"], given["S3_ADDRESSING_STYLE"]) == ("eu-central-1", "virtual")
    assert not {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"} & given.keys()
    assert "imagePullSecrets" not in model["spec"]["predictor"]


def test_claims_are_of_the_class_that_the_values_name(checkout: Path, machine: Machine, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(checkout, root)
    file = root / "stacks" / "Pulumi.rke2.yaml"
    text = file.read_text().replace("stellwerk:logging", "stellwerk:tracking: {mode: embedded}\n  stellwerk:logging")
    file.write_text(text)
    claims = composed("rke2", root, machine, tmp_path).of_kind("PersistentVolumeClaim")
    assert claims and {each["spec"]["storageClassName"] for each in claims.values()} == {"longhorn"}


def test_gpus_of_one_s_own_nodes_are_divided_as_the_values_say(
    checkout: Path, machine: Machine, tmp_path: Path
) -> None:
    program = composed("rke2", checkout, machine, tmp_path)
    about = [each["metadata"] for each in program.of_kind("NodePatch").values()]
    labels = {each["name"]: each.get("labels", {}) for each in about}
    assert set(labels) == {"gpu-1", "gpu-2", "gpu-3", "gpu-4"}
    assert all(each["nvidia.com/mig.config"] == each[POOL_LABEL] == "h100-mig" for each in labels.values())
    (policy,) = program.of_kind("ClusterPolicyPatch").values()
    assert policy["spec"]["mig"] == {"strategy": "mixed"}
    maps = {each["metadata"]["name"]: each["data"] for each in program.of_kind("ConfigMap").values()}
    layouts = maps[policy["spec"]["migManager"]["config"]["name"]]["config.yaml"]["[JSON]"]
    (layout,) = layouts["mig-configs"]["h100-mig"]
    assert layout["mig-devices"] == {"1g.10gb": 7}


def test_where_nodes_have_no_role_jobs_keep_a_login_in_each_namespace_that_pulls(
    checkout: Path, machine: Machine, tmp_path: Path
) -> None:
    root = tmp_path / "checkout"
    shutil.copytree(checkout, root)
    shutil.copytree(machine.root / "stacks" / "releases", root / "stacks" / "releases")
    shutil.copytree(machine.root / "models", root / "models")
    file = root / "stacks" / "Pulumi.eks.yaml"
    role, image = "arn:aws:iam::111122223333:role/pull", "registry.example.com/python:3.11"
    address = "amazonaws.com/stellwerk"
    text = file.read_text().replace(f"{address}}}", f'{address}, podLogin: {{role: "{role}", image: "{image}"}}}}')
    text = text.replace("stellwerk:models: {}", "stellwerk:models: {digits: {release: v2-3f2a9c1d}}")
    file.write_text(text)
    program = composed("eks", root, machine, tmp_path)
    (model,) = program.of_kind("InferenceService").values()
    assert model["spec"]["predictor"]["imagePullSecrets"] == [{"name": "registry-login"}]
    jobs = {each["metadata"]["namespace"]: each for each in program.of_kind("CronJob").values()}
    assert {"eks-serving"} <= jobs.keys() == {
        each["metadata"]["namespace"] for each in program.of_kind("Secret").values()
        if each["metadata"]["name"] == "registry-login"
    }  # fmt: skip
    (container,) = jobs["eks-serving"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in container["env"]}
    assert container["image"] == image and given["ROLE"] == role
    assert given["REGISTRY"] == "111122223333.dkr.ecr.eu-central-1.amazonaws.com"
