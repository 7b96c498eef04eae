"""Which models cannot run: larger than their memory, or with pods that the quota never admits."""

from collections.abc import Iterator, Mapping

from infra.contract.artefact import Artefact, Format
from infra.contract.environment import Environment
from infra.contract.problems import Problem, show
from infra.contract.quantities import cpu_text, memory_bytes, memory_text, milli_cores
from infra.contract.release import Release
from infra.services.serving.section import Model, computes_on_gpu, models

# What the server needs: an ONNX file read and laid out for inference, the interpreter, and requests in flight.
MEMORY_PER_ARTEFACT = 1.25
# Files beside it are mapped, not copied: their pages count in the pod's memory while they are there, and without room
# for all of them each request would read the disk again. Of a file in another format, which a model's own code opens,
# nothing more is known.
MEMORY_PER_FILE = 1
MEMORY_OF_SERVER = 160 * 1024**2
# What CUDA takes beside that where a model computes on a GPU: serving/memory.py says how it was measured.
MEMORY_OF_CUDA = 900 * 1024**2
# A rolling update starts one pod before it ends another.
SURGE = 1
# So many models a message names.
_NAMED = 8


def needed_memory(artefact: Artefact, cuda: bool = False) -> int:
    """Return the bytes that a pod needs for an artefact; `cuda`: it is computed on a GPU."""
    beside = artefact.total_size - artefact.size
    factor = MEMORY_PER_ARTEFACT if artefact.format is Format.ONNX else MEMORY_PER_FILE
    of_cuda = MEMORY_OF_CUDA if cuda else 0
    return int(artefact.size * factor) + beside * MEMORY_PER_FILE + MEMORY_OF_SERVER + of_cuda


def too_large(environment: Environment, releases: Mapping[tuple[str, str], Release]) -> Iterator[Problem]:
    """Yield every model and every sum of models that can never run, as far as their releases are given."""
    yield from _models(environment, releases)
    yield from _serving(environment)


def never_admitted(environment: Environment) -> Iterator[Problem]:
    """Yield every single model that the quota forbids, whatever else runs."""
    quota = environment.quota
    for name, model in models(environment).items():
        if model.most + SURGE > quota.pods:
            key = ("replicas",) if model.autoscaling is None else ("autoscaling", "max")
            yield Problem(
                ("models", name, *key),
                str(model.most),
                f"less than {quota.pods}, because quota.pods admits that many, one of them for updates",
                f"lower {key[-1]}, or raise quota.pods",
            )


def _models(environment: Environment, releases: Mapping[tuple[str, str], Release]) -> Iterator[Problem]:
    for name, model in models(environment).items():
        release = releases.get((name, model.release or ""))
        problem = release and memory_problem(environment, name, model, release)
        if problem:
            yield problem


def memory_problem(environment: Environment, name: str, model: Model, release: Release) -> Problem | None:
    """Return that the release's files need more memory than the model's pods have, None if they do not."""
    cuda = computes_on_gpu(environment, model)
    needed, size = needed_memory(release.artefact, cuda), release.artefact.total_size
    if memory_bytes(model.resources.memory) >= needed:
        return None
    enough = memory_text(needed)
    of_cuda = f", and {memory_text(MEMORY_OF_CUDA)[:-2]} MiB for CUDA, because it computes on a GPU" if cuda else ""
    without = f", or models.{name}.gpu to 0, which is the CPU" if cuda else ""
    return Problem(
        ("models", name, "resources", "memory"),
        show(model.resources.memory),
        f'at least "{enough}", because the artefact of {release.metadata.release} has {size / 1e6:,.0f} MB{of_cuda}',
        f'set models.{name}.resources.memory to "{enough}" or more{without}',
    )


def _serving(environment: Environment) -> Iterator[Problem]:
    """Compare the pods of all served models, and one more while a model is updated, with their namespace's quota."""
    served = {name: model for name, model in models(environment).items() if model.release is not None}
    if not served:
        return
    quota = environment.quota
    pods = _sum([(model.most, 1) for model in served.values()])
    cpu = _sum([(model.most, milli_cores(model.resources.cpu)) for model in served.values()])
    memory = _sum([(model.most, memory_bytes(model.resources.memory)) for model in served.values()])
    parts = ", ".join(f"{name} {model.most}" for name, model in list(served.items())[:_NAMED])
    parts += f" and {len(served) - _NAMED} more models" if len(served) > _NAMED else ""
    for key, given, needed, beyond in (
        ("pods", quota.pods, pods, pods > quota.pods),
        ("cpu", quota.cpu, show(cpu_text(cpu)), cpu > milli_cores(quota.cpu)),
        ("memory", quota.memory, show(memory_text(memory)), memory > memory_bytes(quota.memory)),
    ):
        if beyond:
            yield Problem(
                ("quota", key),
                show(given),
                f"at least {needed}, because the served models need it while one is updated (replicas: {parts})",
                f"raise quota.{key}, or lower replicas (autoscaling.max) or resources of the models",
            )


def _sum(pods: list[tuple[int, int]]) -> int:
    """Return the need of all pods, and of one more of the largest."""
    return sum(replicas * need for replicas, need in pods) + SURGE * max(need for _, need in pods)
