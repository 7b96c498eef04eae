"""A model made elsewhere, with data beside it: imported, promoted, removed; of another one nothing moves meanwhile."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.kit.names import MODEL_LABEL
from tests.support.object_store import BUCKET, client
from tests.support.onnx_models import layers_model
from tests.support.project import MODEL as OTHER
from tests.support.project import Project, eventually, in_parallel

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

MODEL, SIZE = "scorer", 64
PLACES = ("dev", "test")
# What nobody has released: a run's, of this model.
STRAY = f"{MODEL}/sha256-{'0' * 64}.onnx"


def untouched(project: Project) -> dict[str, Any]:
    """What has to stay as it is of another model and of the gateways: what each object is, and how often it changed."""
    seen: dict[str, Any] = {"images": project.output("images", "dev")}
    for name in PLACES:
        serving, platform = ("-n", f"{name}-serving"), ("-n", f"{name}-platform")
        objects = [
            *project.objects("inferenceservices", *serving, "--field-selector", f"metadata.name={OTHER}"),
            *project.objects("deployments", *serving, "-l", f"serving.kserve.io/inferenceservice={OTHER}"),
            *project.objects("deployments", *platform, "--field-selector", "metadata.name=gateway"),
            *project.objects("cronjobs,jobs", "-n", "dev-training", "-l", f"{MODEL_LABEL}={OTHER}"),
        ]
        for item in objects:
            metadata = item["metadata"]
            key = (item["kind"], metadata["namespace"], metadata["name"])
            seen[str(key)] = (metadata["uid"], metadata.get("generation"))
        pods = [
            *project.pods(*serving, "-l", f"serving.kserve.io/inferenceservice={OTHER}"),
            *project.pods(*platform, "-l", "app=gateway"),
        ]
        assert len(pods) >= 2, "a model and a gateway run"
        for pod in pods:
            restarts = [status["restartCount"] for status in pod["status"]["containerStatuses"]]
            seen[pod["metadata"]["name"]] = (pod["metadata"]["uid"], restarts)
    return seen


@pytest.mark.lane("alone")
@pytest.mark.usefixtures("service_names")
def test_an_imported_model_answers_and_is_removed_and_another_one_is_left_alone(
    project: Project, tmp_path: Path
) -> None:
    content, _ = layers_model(2, SIZE, "weights.bin")
    (tmp_path / "scorer.onnx").write_bytes(content)
    (tmp_path / "weights.bin").write_bytes((2 * np.eye(SIZE, dtype=np.float32)).tobytes() * 2)
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, SIZE], "data": [1.0] * SIZE}
    (tmp_path / "request.json").write_text(json.dumps({"inputs": [tensor]}))
    before = {name: project.stack_file(name).read_text() for name in PLACES}
    values = {name: project.values(name) for name in PLACES}
    others = untouched(project)
    files = ("--file", str(tmp_path / "scorer.onnx"), "--data-file", str(tmp_path / "weights.bin"))
    try:
        release = project.ask("model", "import", MODEL, *files)["release"]
        for name in PLACES:
            project.edit(name, _serve)
        in_parallel(*(partial(project.up, name) for name in PLACES))
        project.stellwerk("promote", MODEL, "--to", "dev", "--release", release, "--yes")
        refused = project.stellwerk("promote", MODEL, "--to", "test", "--yes", ok=False)
        assert "imported without an evaluation" in refused.stderr
        project.edit("test", _accept)
        project.stellwerk("promote", MODEL, "--to", "test", "--yes")
        for name in PLACES:
            answer = project.ask("predict", MODEL, "--env", name, "--input", str(tmp_path / "request.json"))
            assert answer["outputs"][0]["data"] == [4.0] * SIZE
            status = json.loads(project.stellwerk("status", "--json", ok=False).stdout)
            assert status["environments"][name]["models"][MODEL]["artefact"] == "intact"
        assert untouched(project) == others
        _remove(project, release, tmp_path)
        assert untouched(project) == others
        assert {name: project.values(name) for name in PLACES} == values
    finally:
        for name, text in before.items():
            project.write(name, text)
        in_parallel(*(partial(project.up, name) for name in PLACES))
        shutil.rmtree(project.release_file("any", MODEL).parent, ignore_errors=True)


def _remove(project: Project, release: str, folder: Path) -> None:
    """Remove the model; what its release names stays in the stores, and nothing else of it anywhere."""
    stores = {
        name: client(project, name, "object-store", project.credentials(name)["objectStore"], folder) for name in PLACES
    }
    stores["test"].put_object(Bucket=BUCKET, Key=STRAY, Body=b"of a run")
    needed = {item.key for item in project.releases.load(MODEL, release).objects.values()}
    assert len(needed) == 2
    refused = project.stellwerk("model", "remove", MODEL, ok=False)
    assert refused.returncode != 0
    assert "test: delete 1 objects of the store that no release names" in refused.stdout
    assert project.answering("test", MODEL) == release
    project.stellwerk("model", "remove", MODEL, "--yes")
    for name in PLACES:
        objects = stores[name].list_objects_v2(Bucket=BUCKET, Prefix=f"{MODEL}/").get("Contents", [])
        assert {item["Key"] for item in objects} == needed
        project.assert_no_changes(name)
        listing = ("get", "inferenceservices,deployments,pods", "-n", f"{name}-serving", "-o", "name")
        eventually("nothing of it runs", 300, lambda listing=listing: MODEL not in project.kubectl(*listing))
        routes = project.kubectl("get", "configmap", "gateway-routes", "-n", f"{name}-platform", "-o", "yaml")
        assert f"/v2/models/{OTHER}" in routes and f"/v2/models/{MODEL}" not in routes
        assert project.answering(name, MODEL) is None
        assert project.answers(name)
    assert "nothing to do" in project.stellwerk("model", "remove", MODEL).stdout


def _serve(config: Any) -> None:
    config["stellwerk:models"][MODEL] = {"release": None, "previous": None, "replicas": 1}


def _accept(config: Any) -> None:
    config["stellwerk:models"][MODEL]["acceptsUnevaluated"] = True
