"""What the README's first command promises, looked at from outside."""

import asyncio
import re
import shutil
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.contract.model import Framework
from infra.contract.release import Release
from infra.revision import revision
from infra.services.training import sources
from tests.support.models import training_data
from tests.support.project import ENVIRONMENTS, MODEL, Project, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.lane("story"), pytest.mark.timeout(3600)]


def releases(project: Project) -> tuple[Release, Release]:
    first, second = (project.releases.load(MODEL, release) for release in project.releases.ids(MODEL))
    return first, second


def test_the_demo_ends_with_a_table_of_its_steps(project: Project) -> None:
    wanted = ("Toolchain", "Local cluster", *(f"Environment {name}" for name in ENVIRONMENTS), "First model", "Second")
    assert not [title for title in wanted if not re.search(rf"{title}.*│ +\d+\.\d", project.demo_output)]
    assert "Where to look next" in project.demo_output


def test_a_preview_shows_no_changes(project: Project) -> None:
    in_parallel(*(partial(project.assert_no_changes, name) for name in ENVIRONMENTS))


def test_nothing_has_drifted(project: Project) -> None:
    assert project.ask("drift") == {"environments": {name: [] for name in ENVIRONMENTS}}


def test_another_checkout_on_another_machine_previews_no_changes(project: Project, tmp_path: Path) -> None:
    """No path and no build secret of the machine that applied dev counts: CI previews from a checkout of its own."""
    checkout, cache = tmp_path / "checkout", tmp_path / "cache"
    # With its history: the revision of an image is a commit.
    ignored = shutil.ignore_patterns(".venv", ".toolchain")
    shutil.copytree(project.root, checkout, ignore=ignored)
    (checkout / ".venv").symlink_to(project.root / ".venv")
    shutil.copytree(project.root / ".toolchain" / "build-contexts" / "base-python", cache / "base-python")
    contexts = (project.root / ".toolchain" / "build-contexts").resolve()
    (checkout / ".toolchain").mkdir()
    (checkout / ".toolchain/manifests").symlink_to((project.root / ".toolchain" / "manifests").resolve())
    (checkout / ".toolchain/build-contexts").mkdir()
    (checkout / ".toolchain/build-contexts/base-python").symlink_to(cache / "base-python")
    (checkout / ".toolchain/build-contexts/elasticsearch").symlink_to(contexts / "elasticsearch")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "pip.conf").write_text("[global]\ntimeout = 7\n")
    project.pulumi(
        "preview", "--cwd", str(checkout), "--stack", "dev", "--expect-no-changes", "--diff",
        PYTHONPATH=str(checkout),
        STELLWERK_MANIFESTS=str(checkout / ".toolchain/manifests"),
        STELLWERK_BUILD_CONTEXTS=str(checkout / ".toolchain/build-contexts"),
        STELLWERK_BUILD_SECRETS=str(tmp_path / "secrets"),
    )  # fmt: skip


def test_two_releases_the_second_is_better(project: Project) -> None:
    first, second = releases(project)
    assert second.evaluation.metrics["accuracy"] > first.evaluation.metrics["accuracy"] >= 0.85
    assert first.artefact.digest != second.artefact.digest
    assert all(gate.passed for gate in (*first.evaluation.gates, *second.evaluation.gates))


def test_the_tracking_server_has_both_runs(project: Project) -> None:
    runs = {run["run_id"]: run for run in project.ask("runs", MODEL)["runs"]}
    for release in releases(project):
        run = runs[release.run.run_id]
        assert run["status"] == "FINISHED"
        assert run["metrics"]["accuracy"] == pytest.approx(release.evaluation.metrics["accuracy"])
        assert run["parameters"]["epochs"] == str(release.training.parameters["epochs"])
        assert run["data_digest"] == release.data.digest == training_data().digest
        assert run["commit"] == release.training.commit
        assert run["commit"] == revision(project.root, sources(MODEL, Framework.PYTORCH))
        assert re.fullmatch(r"[0-9a-f]{40}", run["commit"])


def test_pointers_tell_the_story(project: Project) -> None:
    first, second = (release.metadata.release for release in releases(project))
    models = {name: shown["models"][MODEL] for name, shown in project.ask("status")["environments"].items()}
    pointers = {name: (model["release"], model["previous"]) for name, model in models.items()}
    assert pointers == {"dev": (second, first), "test": (second, first), "prod": (first, second)}
    assert all(model["ready"] for model in models.values())


def test_prod_answers_all_held_out_rows_as_released(project: Project) -> None:
    answer = project.ask("predict", MODEL, "--env", "prod", "--all-held-out")
    assert answer["rows"] == len(training_data().held_out)
    assert answer["release"] == project.pointers("prod")[0]
    assert answer["metrics"] == pytest.approx(answer["expected_metrics"], abs=1e-5)


def test_the_better_model_was_promoted_without_a_failed_request(project: Project) -> None:
    counted = re.search(r"(\d+) requests answered by .*, (\d+) failed", project.demo_output.replace("\n", " "))
    assert counted, "the demo did not say how many requests failed"
    assert int(counted.group(1)) > 20
    assert counted.group(2) == "0"


def test_kserves_own_client_gets_the_right_answers(project: Project, tmp_path: Path) -> None:
    # Every lane reads all tests, and few of them need this: it takes a second to import.
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    held_out = training_data().held_out
    pixels = held_out.inputs["pixels"]
    url, expected = project.gateway("prod"), project.served("prod").evaluation.metrics["accuracy"]
    bundle = tmp_path / "prod-ca.crt"
    bundle.write_text(project.authority("prod"))
    client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=30, retries=0, verify=str(bundle)))
    tensor = InferInput("pixels", list(pixels.shape), "FP32")
    tensor.set_data_from_numpy(pixels, binary_data=False)
    request = InferRequest(model_name=MODEL, infer_inputs=[tensor])
    answer = asyncio.run(client.infer(url, request, model_name=MODEL))
    scores = answer.outputs[0].as_numpy().reshape(-1, 10)
    assert float((scores.argmax(axis=1) == held_out.target).mean()) == pytest.approx(expected, abs=1e-9)


def test_a_prediction_is_found_in_the_log_store_by_its_request_id(project: Project) -> None:
    answer = project.ask("predict", MODEL, "--env", "prod", "--rows", "3")
    (line,) = project.ask("logs", "--request-id", answer["request_ids"][0], "--wait")["hits"]
    assert flat(line)["stellwerk.release"] == answer["release"]
    assert flat(line)["stellwerk.rows"] == 3
    assert flat(line)["kubernetes.namespace"] == "prod-serving"
    assert project.ask("logs", "--request-id", str(uuid.uuid4()))["hits"] == []


def flat(document: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return fields by dotted name, whichever way a line was written."""
    fields: dict[str, Any] = {}
    for key, value in document.items():
        fields |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return fields


def test_logs_are_found_by_model_and_run(project: Project) -> None:
    project.ask("predict", MODEL, "--env", "test", "--rows", "1")
    run = project.served("test").run.run_id
    hits = project.ask("logs", "--run", run, "--model", MODEL, "--env", "test", "--wait")["hits"]
    assert {flat(hit)["stellwerk.run_id"] for hit in hits} == {run}


def test_plain_http_and_a_foreign_authority_are_refused(project: Project) -> None:
    url = f"{project.gateway('prod')}/v2/models/{MODEL}"
    with pytest.raises(httpx.HTTPError):
        httpx.get(url, trust_env=False)
    with pytest.raises(httpx.HTTPError):
        httpx.get(url.replace("https", "http"), trust_env=False).raise_for_status()


def test_every_pod_is_restricted_but_the_shipper(project: Project) -> None:
    spaces = {space["metadata"]["name"]: space["metadata"].get("labels", {}) for space in project.objects("namespaces")}
    ours = {name: labels for name, labels in spaces.items() if "stellwerk.dev/environment" in labels}
    levels = {name: labels["pod-security.kubernetes.io/enforce"] for name, labels in ours.items()}
    assert {name for name, level in levels.items() if level != "restricted"} == {"dev-logging"}
    pods = [pod for pod in project.pods("-A") if pod["metadata"]["namespace"] in ours]
    assert pods
    for pod in pods:
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, pod["metadata"]["name"]
            assert context["readOnlyRootFilesystem"] is True, pod["metadata"]["name"]
            assert context["capabilities"]["drop"] == ["ALL"], pod["metadata"]["name"]


def test_no_secret_stands_in_state_files_or_output(project: Project) -> None:
    given = project.pulumi("config", "get", "stellwerk:credentials", "--stack", "dev").stdout
    secrets = set(re.findall(r'"(?:password|secretKey|postgresPassword)": ?"([^"]{16,})"', given))
    assert len(secrets) >= 5
    texts = {str(file): file.read_text() for file in (project.root / "stacks").rglob("*.yaml")}
    texts |= {str(file): file.read_text() for file in (project.state / "state").rglob("*.json*") if file.is_file()}
    texts |= {"output of the demo": project.demo_output}
    texts |= {str(file): file.read_text(errors="replace") for file in (project.state / "data/pod-logs").rglob("*.log")}
    assert any("stacks/stellwerk/dev.json" in name for name in texts)
    assert not [name for name, text in texts.items() if any(secret in text for secret in secrets)]


def test_the_serving_image_holds_no_torch(project: Project) -> None:
    (pod, *_) = project.pods("-n", "prod-serving")
    command = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('onnxruntime') is not None)"
    name = pod["metadata"]["name"]
    arguments = ("-n", "prod-serving", "exec", name, "-c", "kserve-container", "--", "python", "-c", command)
    assert project.kubectl(*arguments).strip() == "None True"
