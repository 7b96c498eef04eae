"""Training pipelines: what Jobs of a model are made from."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.composition.context import Composition
from infra.composition.service import Build, Namespace, Service, Stack
from infra.contract.environment import TRAINING, Environment, Resources, SectionField
from infra.contract.fields import Name, Section
from infra.contract.model import Models
from infra.contract.problems import Problem, show
from infra.contract.quantities import memory_bytes, milli_cores
from infra.revision import TRAINING_SOURCES, revision
from infra.services import tracking
from infra.services.images import STAGED, BuiltImages
from infra.services.images.contexts import stage_documents
from infra.services.node_pools import unknown_pool
from infra.services.object_store import ObjectStoreAccess
from infra.services.registry import PullSecrets
from infra.services.tenancy import Namespaces
from infra.services.tracking import TrackingUri


class TrainingSection(Section):
    """The training pipeline of one model."""

    resources: Resources
    node_pool: Name | None = None


SECTION: SectionField[Mapping[str, TrainingSection]] = SectionField(
    "training", dict[Name, TrainingSection], default={}, description="training pipelines by model name"
)


def pipelines(environment: Environment) -> Mapping[str, TrainingSection]:
    """Return the training pipelines by model."""
    return environment.section(SECTION)


def runs(environment: Environment) -> bool:
    """Return whether models are trained in the environment."""
    return bool(pipelines(environment))


def _rules(stack: Stack) -> Iterator[Problem]:
    environment = stack.environment
    if runs(environment) and not tracking.runs(environment):
        yield Problem(
            ("tracking", "enabled"), "false", "true, because training records its runs there", "set it to true"
        )
    for model, pipeline in pipelines(environment).items():
        yield from unknown_pool(environment, ("training", model, "nodePool"), pipeline.node_pool)
        yield from _never_admitted(environment, model, pipeline.resources)


def _never_admitted(environment: Environment, model: str, asked: Resources) -> Iterator[Problem]:
    """A single Job that the quota forbids, whatever else runs."""
    quota = environment.quota
    for key, given, limit, more in (
        ("cpu", asked.cpu, quota.cpu, milli_cores(asked.cpu) > milli_cores(quota.cpu)),
        ("memory", asked.memory, quota.memory, memory_bytes(asked.memory) > memory_bytes(quota.memory)),
    ):
        if more:
            yield Problem(
                ("training", model, "resources", key),
                show(given),
                f'at most "{limit}", because quota.{key} is that for all Jobs of the environment',
                f"ask for less, or raise quota.{key}",
            )


def _documents(context: Composition) -> Path:
    """The documents of all models, as the training image takes them."""
    documents = Models(context.root / "models").documents()
    return stage_documents(documents, "model.json", context.root / STAGED / "models")


def _compose(context: Composition) -> None:
    from components.training.training_pipeline import TrainingPipeline

    for model, pipeline in pipelines(context.environment).items():
        TrainingPipeline(
            f"train-{model}",
            {
                "namespace": context.get(Namespaces)[TRAINING],
                "model": model,
                "image": context.get(BuiltImages)["training"],
                "revision": revision(context.root, TRAINING_SOURCES),
                "pull_secret": context.get(PullSecrets)[TRAINING],
                "tracking_uri": context.get(TrackingUri).uri,
                "store": context.get(ObjectStoreAccess).writer,
                "cpu": pipeline.resources.cpu,
                "memory": pipeline.resources.memory,
                "node_pool": pipeline.node_pool,
            },
            context.opts,
        )


SERVICE = Service(
    "training",
    section=SECTION,
    needs=(Namespaces, BuiltImages, PullSecrets, ObjectStoreAccess, TrackingUri),
    runs=runs,
    switch="training",
    rules=_rules,
    namespaces=(Namespace(TRAINING),),
    builds=lambda _: {
        "training-torch": Build("training/torch", sets_times=True),
        "training": Build("training", TRAINING_SOURCES, contexts={"models": _documents}, base="training-torch"),
    },
    compose=_compose,
)
