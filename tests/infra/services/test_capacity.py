"""What cannot run is refused from the values alone: the models of an environment together, and quantities."""

import json

import pytest

from infra.contract.artefact import Artefact
from infra.contract.environment import Quota, Resources
from infra.contract.quantities import cpu_text, memory_bytes, memory_text, milli_cores
from infra.contract.release import Releases
from infra.services.serving import Model
from infra.services.serving.capacity import needed_memory, too_large
from infra.values import from_file
from tests.infra.contract.test_fixtures import HERE
from tests.support.documents import TEAM

RELEASE = "v2-3f2a9c1d"
SMALL = Resources(cpu="50m", memory="512Mi")


def artefact(size: int, *beside: int) -> Artefact:
    """An artefact of these sizes in bytes."""
    digest = f"sha256:{'0' * 64}"
    files = [
        {"name": f"weights-{index}.bin", "digest": digest, "size": size, "key": "any"}
        for index, size in enumerate(beside)
    ]
    given = {"format": "onnx", "digest": digest, "size": size, "key": "any", "files": files}
    return Artefact.model_validate_json(json.dumps(given))


def broken(models: dict[str, int], quota: Quota) -> list[str]:
    """The keys of the problems of models with these replicas, all of one release."""
    release = Releases(HERE / "releases").load("digits", RELEASE)
    served = {name: Model(release=RELEASE, replicas=replicas, resources=SMALL) for name, replicas in models.items()}
    environment = from_file("prod", TEAM).environment.model_copy(update={"models": served, "quota": quota})
    return [str(problem.path[1]) for problem in too_large(environment, {(name, RELEASE): release for name in models})]


@pytest.mark.parametrize(
    ("cpu", "memory", "pods", "expected"),
    [
        ("300m", "3Gi", 6, []),
        ("300m", "3Gi", 5, ["pods"]),
        ("299m", "3Gi", 6, ["cpu"]),
        ("300m", "3071Mi", 6, ["memory"]),
    ],
)
def test_the_models_of_an_environment_and_one_update_fit_its_quota(
    cpu: str, memory: str, pods: int, expected: list[str]
) -> None:
    assert broken({"a": 3, "b": 2}, Quota(cpu=cpu, memory=memory, pods=pods, storage="1Gi")) == expected


def test_an_artefact_needs_more_than_its_size() -> None:
    assert needed_memory(artefact(10**9)) > 10**9
    assert needed_memory(artefact(1)) > 100 * 1024**2


def test_files_beside_the_model_need_their_size() -> None:
    assert needed_memory(artefact(10**6, 10**9)) == needed_memory(artefact(10**6)) + 10**9


@pytest.mark.parametrize(("text", "milli"), [("500m", 500), ("2", 2000), ("0.25", 250), ("1.005", 1005)])
def test_cpu(text: str, milli: int) -> None:
    assert milli_cores(text) == milli
    assert milli_cores(cpu_text(milli)) == milli


def test_memory_is_rounded_up() -> None:
    assert memory_bytes("2Gi") == 2 * 1024**3
    assert memory_text(memory_bytes("512Mi")) == "512Mi"
    assert memory_text(memory_bytes("512Mi") + 1) == "513Mi"
