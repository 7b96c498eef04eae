"""Training pipelines: what Jobs of a model are made from."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.composition.context import Composition
from infra.composition.contexts import STAGED, stage_documents
from infra.composition.handover import BuiltImages, Namespaces, ObjectStoreAccess, PullSecrets, TrackingAccess
from infra.composition.service import Build, Documents, Namespace, Placement, Service, Stack, Switch
from infra.contract.environment import TRAINING, Environment, Resources, SectionField
from infra.contract.fields import Name, Section
from infra.contract.model import Models
from infra.contract.problems import Problem, show, suggest
from infra.contract.quantities import memory_bytes, milli_cores
from infra.revision import TRAINING_SOURCES

_IMAGE = "training"


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
    for model, pipeline in pipelines(stack.environment).items():
        yield from _never_admitted(stack.environment, model, pipeline.resources)


def _document_rules(environment: Environment, documents: Documents) -> Iterator[Problem]:
    """Yield each pipeline of a model that has no document."""
    known = documents.models.names()
    for model in pipelines(environment):
        if model not in known:
            yield Problem(
                ("training", model),
                f"a model without {documents.models.file(model)}",
                ", ".join(known) or "none: no model has a document yet",
                suggest(model, known, f"write {documents.models.file(model)}, or remove the key"),
            )


def _placements(environment: Environment) -> Iterator[Placement]:
    for model, pipeline in pipelines(environment).items():
        yield Placement(("training", model, "nodePool"), pipeline.node_pool)


def _never_admitted(environment: Environment, model: str, asked: Resources) -> Iterator[Problem]:
    """Yield what makes a single Job one that the quota forbids, whatever else runs."""
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
    """Return the folder of all models' documents, as the training image takes them."""
    documents = Models(context.root / "models").documents()
    return stage_documents(documents, "model.json", context.root / STAGED / "models")


def _compose(context: Composition) -> None:
    from components.training.training_pipeline import TrainingPipeline

    images = context.get(BuiltImages)
    for model, pipeline in pipelines(context.environment).items():
        TrainingPipeline(
            f"train-{model}",
            {
                "namespace": context.get(Namespaces)[TRAINING],
                "model": model,
                "image": images[_IMAGE],
                "revision": images.revisions[_IMAGE],
                "pull_secret": context.get(PullSecrets)[TRAINING],
                "tracking": context.get(TrackingAccess).args,
                "store": context.get(ObjectStoreAccess).writer,
                "experiment": context.environment.shared_name(model),
                "cpu": pipeline.resources.cpu,
                "memory": pipeline.resources.memory,
                "node_pool": pipeline.node_pool,
            },
            context.opts,
        )


SERVICE = Service(
    "training",
    section=SECTION,
    needs=(Namespaces, BuiltImages, PullSecrets, ObjectStoreAccess, TrackingAccess),
    runs=runs,
    switch=Switch(("training",), "pipelines", "no pipeline"),
    rules=_rules,
    document_rules=_document_rules,
    placements=_placements,
    namespaces=(Namespace(TRAINING),),
    builds=lambda _: {
        _IMAGE: Build("training", TRAINING_SOURCES, {"models": _documents}, sets_times=True, installs=True)
    },
    compose=_compose,
)
