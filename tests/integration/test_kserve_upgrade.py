"""KServe upgraded in place while its models serve: of a cluster of the test's own, from the version before to this one.

Two environments have a model each, of two pods and of one. Clients ask both without a pause while the values that name
the version before are taken out, and `pulumi up` does the rest.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from components.serving.rollout import deployment_name
from infra.contract.versions import LOCAL_IMAGES, platform_image, version
from infra.local.cluster import images
from infra.local.cluster.commands import Tools
from infra.local.cluster.layout import Layout
from infra.local.toolchain.paths import bin_folder, cni_folder, view
from infra.targets.variables import MANIFESTS
from tests.support.cluster import checkout
from tests.support.kserve import NOW, PREVIOUS
from tests.support.load import load_on, request
from tests.support.project import MODEL, Project, eventually
from tests.support.tools import tool

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.first, pytest.mark.timeout(3600)]
OWNER, FURTHER = "dev", "test"
REPLICAS = {OWNER: 2, FURTHER: 1}
BEFORE, AFTER = version("kserve-previous"), version("kserve-manager")
CONTROLLER = images.PlatformImage(f"{LOCAL_IMAGES}/kserve-manager:{BEFORE}", PREVIOUS.manager, "/manager")
VARIABLE = "INFERENCE_SERVICE_NAME"


@pytest.fixture(scope="module")
def older() -> Iterator[Project]:
    """A checkout whose cluster has KServe of the version before, with the model in both environments."""
    tool(PREVIOUS.manager)
    with checkout() as project:
        done = project.run("make", "setup")
        assert done.returncode == 0, done.stderr
        project.stellwerk("cluster", "up")
        project.learn_variables()
        images.build(Tools(bin_folder(), cni_folder()), Layout(project.state), print, [CONTROLLER])
        begin(project)
        yield project


def begin(project: Project) -> None:
    """Write the version before into both environments, apply them, and serve a model in each."""
    folder = project.root.parent / "manifests"
    folder.mkdir(exist_ok=True)
    place = folder / f"kserve-{BEFORE}"
    if not place.is_symlink():
        place.symlink_to(view() / "manifests" / PREVIOUS.manifests)
    before = {MANIFESTS: str(folder)}
    for path in project.stack_file("*").parent.glob(project.stack_file("*").name):
        if path not in map(project.stack_file, REPLICAS):
            path.unlink()
    for name in REPLICAS:
        project.edit(name, lambda config, name=name: _older(config, name))
    project.stellwerk("init", OWNER, FURTHER)
    project.up(OWNER, **before)
    job = project.ask("train", MODEL, "--param", "epochs=3", "--wait")["job"]
    release = project.ask("release", MODEL, "--job", job)["release"]
    project.stellwerk("promote", MODEL, "--to", OWNER, "--release", release, "--yes", **before)
    project.up(FURTHER)
    project.stellwerk("promote", MODEL, "--to", FURTHER, "--yes")


def _older(config: Any, environment: str) -> None:
    config["stellwerk:kserve"] = {"version": BEFORE}
    config["stellwerk:models"][MODEL]["replicas"] = REPLICAS[environment]
    if environment == OWNER:
        config["stellwerk:images"]["kserveManager"] = CONTROLLER.reference
        # Nobody reads logs here: the base's mode, without a store.
        config.pop("stellwerk:logging", None)


def _newer(config: Any) -> None:
    del config["stellwerk:kserve"]
    config.get("stellwerk:images", {}).pop("kserveManager", None)


def deployment(project: Project, environment: str) -> dict[str, Any]:
    """Return the Deployment of the environment's model."""
    named = ("deployment", deployment_name(MODEL), "--namespace", f"{environment}-serving")
    declared: dict[str, Any] = json.loads(project.kubectl("get", *named, "--output=json"))
    return declared


@dataclass(frozen=True)
class Served:
    """What an environment has of the model: the service's Deployment, its pods' names, and the answers to some rows."""

    deployment: Mapping[str, Any]
    pods: frozenset[str]
    scores: list[float]

    @classmethod
    def of(cls, project: Project, environment: str) -> "Served":
        """Return what there is now."""
        namespace = f"{environment}-serving"
        pods = frozenset(pod["metadata"]["name"] for pod in project.pods("-n", namespace))
        with httpx.Client(verify=project.trust(environment), trust_env=False, timeout=30) as client:
            url = f"{project.gateway(environment)}/v2/models/{MODEL}/infer"
            answer = client.post(url, content=request(100), headers={"content-type": "application/json"})
        return cls(deployment(project, environment), pods, answer.raise_for_status().json()["outputs"][0]["data"])

    @property
    def rollouts(self) -> int:
        """How often the pods were replaced by others, so far."""
        return int(self.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"])

    @property
    def has_variable(self) -> bool:
        """Whether the pods are those of this checkout's controller."""
        return VARIABLE in str(self.deployment["spec"]["template"])


def rests(project: Project, environment: str, *words: str) -> bool:
    """Return whether all pods are of a template with these words, serve, and no other is left."""
    namespace, count = f"{environment}-serving", REPLICAS[environment]
    declared = deployment(project, environment)
    spec, status = declared["spec"], declared["status"]
    counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
    if spec["replicas"] != count or not all(word in str(spec["template"]) for word in words):
        return False
    seen = status["observedGeneration"] >= declared["metadata"]["generation"]
    return seen and counts == {count} and len(project.pods("-n", namespace)) == count


def modes(project: Project) -> dict[str, str]:
    """Return by namespace KServe's word for the mode of each model; fail where one is not ready."""
    services = project.objects("inferenceservices", "--all-namespaces")
    for each in services:
        ready = {item["type"]: item["status"] for item in each["status"]["conditions"]}
        assert ready["Ready"] == "True", each["status"]
    key = "serving.kserve.io/deploymentMode"
    return {each["metadata"]["namespace"]: each["metadata"]["annotations"][key] for each in services}


def controllers(project: Project) -> set[str]:
    """Return the images that the controller's pods run."""
    pods = project.pods("-n", f"{OWNER}-kserve")
    return {container["image"] for pod in pods for container in pod["spec"]["containers"]}


def test_models_serve_on_while_kserve_is_upgraded(older: Project) -> None:
    project = older
    spaces = {name: f"{name}-serving" for name in REPLICAS}
    before = {name: Served.of(project, name) for name in REPLICAS}
    assert controllers(project) == {CONTROLLER.reference}
    assert modes(project) == dict.fromkeys(spaces.values(), PREVIOUS.mode)
    assert not any(each.has_variable for each in before.values())
    for name in REPLICAS:
        project.edit(name, _newer)
    began, seconds = time.monotonic(), {}
    with load_on(project, OWNER) as two, load_on(project, FURTHER) as one:
        project.up(OWNER)
        seconds["pulumi up of the owner"] = time.monotonic() - began
        eventually("the owner's pods are replaced", 300, lambda: rests(project, OWNER, VARIABLE, NOW.mode))
        eventually("the other's pods are replaced", 300, lambda: rests(project, FURTHER, VARIABLE))
        seconds["all pods replaced"] = time.monotonic() - began
        project.up(FURTHER)
        eventually("the other's have the new word", 300, lambda: rests(project, FURTHER, VARIABLE, NOW.mode))
        seconds["the other environment, too"] = time.monotonic() - began
        # Of those that went last, too, every request has its answer.
        answered = {id(load): load.answered for load in (two, one)}
        for load in (two, one):
            eventually("the clients go on", 60, lambda load=load: load.answered > answered[id(load)] + 50)
    after = {name: Served.of(project, name) for name in REPLICAS}
    rollouts = {name: after[name].rollouts - before[name].rollouts for name in REPLICAS}
    print(f"seconds: {seconds}; rollouts: {rollouts}; requests: {two.answered}, {one.answered}")
    assert two.failures == one.failures == []
    assert controllers(project) == {platform_image("kserve-manager")}
    assert modes(project) == dict.fromkeys(spaces.values(), NOW.mode)
    for name in REPLICAS:
        assert not before[name].pods & after[name].pods
        assert after[name].scores == before[name].scores
        project.assert_no_changes(name)
        repaired(project, name)
    assert {name: Served.of(project, name).pods for name in REPLICAS} == {name: after[name].pods for name in REPLICAS}


def repaired(project: Project, environment: str) -> None:
    """Put back the one thing that KServe takes away: whose number of pods it is stands beside what it writes itself."""
    printed = project.stellwerk("drift", "--env", environment, "--json", ok=False).stdout
    (drifted,) = json.loads(printed)["environments"][environment]
    assert (drifted["type"], drifted["fields"]) == ("kubernetes:apps/v1:DeploymentPatch", ["metadata.annotations"])
    project.stellwerk("drift", "--env", environment, "--repair", "--yes")
    assert project.ask("drift", "--env", environment)["environments"][environment] == []
