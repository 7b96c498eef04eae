"""The models of an environment: pointers to immutable releases, and how each is served."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from pydantic import Field, model_validator

from infra.composition.gpus import on_gpu
from infra.composition.service import Pointer
from infra.contract import testset
from infra.contract.environment import Environment, Resources, SectionField
from infra.contract.evidence import EvidenceFolder
from infra.contract.fields import Name, ReleaseId, Section
from infra.contract.gpu import Gpu
from infra.contract.problems import Problem, show, suggest
from infra.contract.quantities import memory_bytes, memory_text
from infra.contract.release import Release
from infra.contract.sizes import MEMORY_ON_GPU
from infra.contract.testset import TestSets


class Autoscaling(Section):
    """How many pods a model has by what it has to do; what it is measured by needs a service of the cluster."""

    min: int = Field(default=1, ge=1, le=100, description="number of pods at least, 1 to 100")
    max: int = Field(ge=1, le=100, description="number of pods at most, 1 to 100")
    cpu: int | None = Field(
        default=None, ge=1, le=4000, description="percent of the requested CPU that pods use on average, 1 to 4000"
    )
    requests_per_second: int | None = Field(
        default=None, ge=1, le=1_000_000, description="requests per second of each pod on average, 1 to 1000000"
    )
    scale_to_zero: bool = Field(
        default=False, description="true: without requests there is no pod; the first ones are refused until one is"
    )


class Model(Section):
    """A served model: pointers to immutable releases, and how it is served."""

    release: ReleaseId | None = Field(description="a release id such as v2-3f2a9c1d, or null while there is none")
    previous: ReleaseId | None = Field(default=None, description="the release id to roll back to, or null")
    replicas: int = Field(default=1, ge=1, le=100, description="number of pods, 1 to 100")
    # Small: most models wait most of the time.
    resources: Resources = Resources(cpu="50m", memory="512Mi")
    node_pool: Name | None = None
    gpu: Gpu | None = None
    autoscaling: Autoscaling | None = None
    accepts_unevaluated: bool = Field(
        default=False,
        description="true: releases that nobody has evaluated are served here; where releases enter they always are",
    )
    test_set: ReleaseId | None = Field(
        default=None, description="the test set that a release must pass to be promoted here, such as v1-3f2a9c1d"
    )

    @property
    def most(self) -> int:
        """Return how many pods there may be."""
        return self.replicas if self.autoscaling is None else self.autoscaling.max

    @model_validator(mode="before")
    @classmethod
    def _without_canary(cls, values: Any) -> Any:
        # Files of before say `canary: null`, which meant nothing.
        if isinstance(values, dict) and "canary" in values and values["canary"] is None:
            return {key: value for key, value in values.items() if key != "canary"}
        return values


SECTION: SectionField[Mapping[str, Model]] = SectionField(
    "models", dict[Name, Model], description="served models by name"
)


def models(environment: Environment) -> Mapping[str, Model]:
    """Return the models of an environment by name, with what its size says where the file says nothing.

    `replicas` is the number of pods to begin with where an autoscaler changes it.
    """
    return {name: _whole(model, _by_size(environment, model)) for name, model in environment.section(SECTION).items()}


def computes_on_gpu(environment: Environment, model: Model) -> bool:
    """Return whether the pods of a model get a GPU, a share or an instance of one."""
    return on_gpu(environment, model.node_pool, model.gpu)


def _by_size(environment: Environment, model: Model) -> Mapping[str, Any]:
    asked = environment.defaults.model
    memory = asked.memory
    if computes_on_gpu(environment, model):
        memory = memory_text(memory_bytes(memory) + memory_bytes(MEMORY_ON_GPU))
    replicas = asked.replicas if model.autoscaling is None else model.autoscaling.min
    return {"replicas": replicas, "resources": Resources(cpu=asked.cpu, memory=memory)}


def _whole(model: Model, by_size: Mapping[str, Any]) -> Model:
    changes = {key: value for key, value in by_size.items() if key not in model.model_fields_set}
    return model.model_copy(update=changes)


def given(environment: Environment) -> Mapping[str, Model]:
    """Return the models as the file has them: what it does not say is not in `model_fields_set`."""
    return environment.section(SECTION)


def digests(environment: Environment) -> dict[str, str]:
    """Return by model a digest of what the environment says of it: equal where the same was applied."""
    return {name: _digest(model) for name, model in models(environment).items()}


def _digest(model: Model) -> str:
    # What may be served says nothing of what is applied; what a file does not say leaves the digest of before.
    unsaid = {name for name in ("autoscaling", "gpu") if getattr(model, name) is None}
    applied = model.model_dump_json(exclude={"accepts_unevaluated", "test_set", *unsaid})
    return sha256(applied.encode()).hexdigest()[:16]


def pointers(environment: Environment) -> Iterator[Pointer]:
    """Yield each key that points to a release: of what serves, and of what to roll back to."""
    for name, model in models(environment).items():
        for key, release in (("release", model.release), ("previous", model.previous)):
            if release is not None:
                yield Pointer(("models", name, key), name, release)


def without_test_set(environment: Environment, test_sets: TestSets) -> Iterator[Problem]:
    """Yield each key that names a test set that does not exist."""
    for name, model in models(environment).items():
        known = test_sets.versions(name) if model.test_set else []
        if model.test_set is not None and model.test_set not in known:
            yield Problem(
                ("models", name, "testSet"),
                show(model.test_set),
                f"a file in {test_sets.name}/{name}/: {', '.join(known) or 'there is none yet'}",
                suggest(model.test_set, known, f"run `stellwerk data push {name} FILE --test-set`, or remove the key"),
            )


def failed(
    environment: Environment, releases: Mapping[tuple[str, str], Release], evidence: EvidenceFolder
) -> Iterator[Problem]:
    """Yield every release of which evidence says that it has missed a gate on the test set named here."""
    for name, model in models(environment).items():
        if model.test_set is None or (name, model.release) not in releases:
            continue
        known = evidence.of(name, str(model.release))
        place = (environment.environment, testset.gate(model.test_set))
        if any((one.metadata.environment, one.metadata.gate) == place and not one.result.passed for one in known):
            yield Problem(
                ("models", name, "release"),
                show(model.release),
                f"a release that passes the test set {model.test_set}, and evidence says that this one has not",
                "name another release, or another test set",
            )


def takes_unevaluated(environment: Environment, model: str) -> bool:
    """Return whether the model's releases need no evaluation here: where releases enter, or as its entry says."""
    return environment.releases_from is None or models(environment)[model].accepts_unevaluated


def unevaluated(environment: Environment, releases: Mapping[tuple[str, str], Release]) -> Iterator[Problem]:
    """Yield every release without evaluation that the environment does not take."""
    for name, model in models(environment).items():
        release = releases.get((name, model.release or ""))
        if release is not None and release.evaluation is None and not takes_unevaluated(environment, name):
            yield Problem(
                ("models", name, "release"),
                show(model.release),
                "a release with an evaluation, as this one was imported without",
                f"import the model again with rows to evaluate it on, or set models.{name}.acceptsUnevaluated to true",
            )
