"""Who an object belongs to, what was changed by hand, and a kubeconfig that leads nowhere."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.support.project import MODEL, Project, eventually, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
NAMESPACE = "x-ownership-shared"
PROGRAM = f"""
import pulumi, pulumi_kubernetes as kubernetes
from infra.services.ownership.marks import mark_objects
provider = kubernetes.Provider("cluster", context="stellwerk", kubeconfig="")
mark_objects()
opts = pulumi.ResourceOptions(provider=provider)
kubernetes.core.v1.Namespace("shared", metadata={{"name": "{NAMESPACE}"}}, opts=opts)
"""


@dataclass(frozen=True)
class Scratch:
    """A Pulumi project of one namespace, with a backend of its own."""

    project: Project
    folder: Path

    def pulumi(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        backend = f"file://{self.folder}/backend"
        words = ("pulumi", "-C", str(self.folder), *arguments, "--non-interactive")
        return self.project.run(*words, PULUMI_BACKEND_URL=backend, **extra)

    def up(self, **extra: str) -> subprocess.CompletedProcess[str]:
        return self.pulumi("up", "--stack", "dev", "--yes", "--skip-preview", **extra)


@pytest.fixture
def scratch(project: Project, tmp_path: Path) -> Iterator[tuple[Scratch, Scratch]]:
    """Two projects that declare the same namespace."""
    one, two = in_parallel(*(partial(_scratch, project, tmp_path / name) for name in ("x-one", "x-two")))
    yield one, two
    project.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


def _scratch(project: Project, folder: Path) -> Scratch:
    (folder / "backend").mkdir(parents=True)
    runtime = {"name": "python", "options": {"virtualenv": str(project.root / ".venv")}}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": folder.name, "runtime": runtime}))
    (folder / "__main__.py").write_text(PROGRAM)
    made = Scratch(project, folder)
    assert made.pulumi("stack", "init", "dev").returncode == 0
    return made


@pytest.mark.lane("own")
def test_an_object_belongs_to_one_stack(project: Project, scratch: tuple[Scratch, Scratch]) -> None:
    one, two = scratch
    first = one.up()
    assert first.returncode == 0, first.stdout
    # Another project is refused, by the preview and when it forces.
    preview = two.pulumi("preview", "--stack", "dev")
    assert preview.returncode != 0 and "stellwerk/x-one/dev" in preview.stdout + preview.stderr
    forced = two.up(PULUMI_K8S_ENABLE_PATCH_FORCE="true")
    assert forced.returncode != 0 and "belongs to the stack x-one/dev" in forced.stdout + forced.stderr
    # What a killed update leaves is in the cluster and not in the state: the same stack takes it over.
    urn = "urn:pulumi:dev::x-one::kubernetes:core/v1:Namespace::shared"
    assert one.pulumi("state", "delete", urn, "--stack", "dev", "--yes").returncode == 0
    again = one.up()
    assert again.returncode == 0 and "1 created" in again.stdout, again.stdout
    # What nobody's labels are on is refused until it is given.
    project.kubectl("delete", "namespace", NAMESPACE)
    project.kubectl("create", "namespace", NAMESPACE)
    refused = two.up()
    assert refused.returncode != 0 and "belongs to no stack" in refused.stdout + refused.stderr
    project.kubectl("label", "namespace", NAMESPACE, "stellwerk.dev/project=x-two", "stellwerk.dev/stack=dev")
    given = two.up()
    assert given.returncode == 0, given.stdout


def test_drift_is_seen_and_put_back(project: Project) -> None:
    """The endpoint answers 502, and the engine alone sees nothing."""
    project.kubectl("-n", "dev-serving", "delete", "inferenceservice", MODEL, "--wait")
    # The garbage collector takes it later.
    project.kubectl("-n", "dev-serving", "wait", f"deployment/{MODEL}-predictor", "--for=delete", "--timeout=300s")
    serving = ("-n", "dev-serving", "patch")
    project.kubectl(*serving, "resourcequota", "quota", "-p", '{"spec": {"hard": {"pods": "39"}}}')
    # Added to what is declared: the engine does not see it even when it reads the cluster again.
    project.kubectl(*serving, "networkpolicy", "default-deny", "-p", '{"spec": {"ingress": [{}]}}')
    right = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}
    addition = [{"op": "add", "path": "/rules/-", "value": right}]
    project.kubectl(*serving, "role", "developers", "--type=json", "-p", json.dumps(addition))
    _, seen = in_parallel(
        partial(project.assert_no_changes, "dev"),
        partial(project.stellwerk, "drift", "--env", "dev", "--json", ok=False),
    )
    assert seen.returncode == 2, seen.stderr
    changes = {
        (item["name"], item["change"]): item["fields"] for item in json.loads(seen.stdout)["environments"]["dev"]
    }
    assert changes == {
        (MODEL, "deleted"): [],
        # KServe's Deployment goes with it, and with that the number of pods.
        (f"{MODEL}-predictor", "deleted"): [],
        ("quota", "changed"): ["spec.hard.pods"],
        ("default-deny", "changed"): ["spec.ingress"],
        ("developers", "changed"): ["rules"],
    }
    project.stellwerk("drift", "--env", "dev", "--repair", "--yes")
    assert project.ask("drift", "--env", "dev") == {"environments": {"dev": []}}
    # Its pods are other ones: the gateway learns of them a moment later.
    eventually("dev answers", 60, lambda: project.answers("dev"))


@pytest.mark.lane("test")
def test_a_kubeconfig_that_leads_nowhere_is_refused(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "kubeconfig"
    text = Path(project.variables["KUBECONFIG"]).read_text()
    other.write_text(text.replace("name: stellwerk\n", "name: other\n"))
    for given, word in ((str(other), "other"), ("/nowhere", "no such file")):
        refused = project.pulumi("preview", "--stack", "test", ok=False, KUBECONFIG=given)
        output = refused.stdout + refused.stderr
        assert refused.returncode != 0 and given in output and word in output, output
        assert "Traceback" not in output
