"""What cannot run is refused from the values alone: the models of an environment together, and quantities."""

import json
from typing import Any

import pytest

from infra.contract.artefact import Artefact
from infra.contract.environment import Environment, Quota, Resources
from infra.contract.quantities import cpu_text, memory_bytes, memory_text, milli_cores
from infra.contract.release import Releases
from infra.contract.sizes import Size
from infra.services.node_pools import NodePool, pools
from infra.services.node_pools.devices import requested
from infra.services.serving import Model, memory_problem, models
from infra.services.serving.capacity import MEMORY_OF_CUDA, MEMORY_OF_SERVER, needed_memory, too_large
from infra.values import from_file
from serving.memory import CUDA_BYTES, shares
from tests.gpu.__main__ import MEMORY
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


def model(**values: Any) -> Model:
    """A model with values as a file has them."""
    return Model.model_validate({"release": RELEASE, **values})


def on_pool(model: Model, size: Size = Size.SMALL, **pool: Any) -> Environment:
    """An environment with one model and one pool of nodes with 2 GPUs, unless the pool says otherwise."""
    nodes = NodePool.model_validate({"name": "pool", "gpus": 2, "nodes": 1, **pool})
    changed = {"size": size, "models": {"a": model}, "node_pools": (nodes,)}
    return from_file("prod", TEAM).environment.model_copy(update=changed)


GPUS = [
    ({}, None, True),
    ({}, 1, True),
    ({}, 0, False),
    ({"gpus": 0}, None, False),
    ({"accelerator": "nvidia-h100-80gb", "sharing": {"mig": {"1g.10gb": 7}}}, "mig-1g.10gb", True),
    ({"sharing": {"timeSlicing": {"replicas": 4}}}, None, True),
    ({"sharing": {"mps": {"replicas": 4}}}, 1, True),
    ({"deviceClass": "gpu.nvidia.com"}, None, True),
    ({"deviceClass": "gpu.nvidia.com"}, 0, False),
]


@pytest.mark.parametrize(("pool", "gpu", "computes"), GPUS)
def test_a_model_needs_and_gets_more_memory_where_its_pods_get_a_gpu(
    pool: dict[str, Any], gpu: int | str | None, computes: bool
) -> None:
    release = Releases(HERE / "releases").load("digits", RELEASE)
    environment = on_pool(model(nodePool="pool", gpu=gpu), **pool)
    assert bool(requested(pools(environment)[0], gpu)) is computes
    assert models(environment)["a"].resources.memory == ("1536Mi" if computes else "512Mi")
    assert not list(too_large(environment, {("a", RELEASE): release}))
    said = model(nodePool="pool", gpu=gpu, resources=SMALL)
    environment = on_pool(said, **pool)
    assert models(environment)["a"].resources == SMALL, "what the file says stays"
    problem = memory_problem(environment, "a", said, release)
    assert (problem is not None) is computes
    if problem:
        assert "900 MiB for CUDA, because it computes on a GPU" in problem.allowed
        assert "gpu to 0" in problem.action


@pytest.mark.parametrize(("size", "memory"), [(Size.MEDIUM, "2048Mi"), (Size.LARGE, "3072Mi")])
def test_a_gpu_adds_to_the_memory_of_each_size(size: Size, memory: str) -> None:
    assert models(on_pool(model(nodePool="pool"), size))["a"].resources.memory == memory


def test_a_model_on_any_node_gets_no_gpu() -> None:
    assert models(on_pool(model()))["a"].resources == SMALL


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("size", [1, 10**6, 10**9])
def test_the_server_starts_with_what_an_artefact_needs(size: int, device: str) -> None:
    assert MEMORY_OF_CUDA == CUDA_BYTES
    # What servers are given when they run on a real GPU.
    assert MEMORY == {"cpu": MEMORY_OF_SERVER, "cuda": MEMORY_OF_SERVER + MEMORY_OF_CUDA}
    needed = needed_memory(artefact(size), cuda=device == "cuda")
    assert shares(size, needed, device).requests > 0


@pytest.mark.parametrize(("text", "milli"), [("500m", 500), ("2", 2000), ("0.25", 250), ("1.005", 1005)])
def test_cpu(text: str, milli: int) -> None:
    assert milli_cores(text) == milli
    assert milli_cores(cpu_text(milli)) == milli


def test_memory_is_rounded_up() -> None:
    assert memory_bytes("2Gi") == 2 * 1024**3
    assert memory_text(memory_bytes("512Mi")) == "512Mi"
    assert memory_text(memory_bytes("512Mi") + 1) == "513Mi"
