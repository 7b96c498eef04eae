"""Training pipelines: the images of models and of their frameworks, and what Jobs of a model are made from."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from pydantic import Field

from infra.composition import hooks
from infra.composition.context import Composition
from infra.composition.contexts import SHIPPING, STAGED, stage, stage_shipping
from infra.composition.handover import (
    BuiltImages,
    DataStoreAccess,
    LogStoreAccess,
    Namespaces,
    ObjectStoreAccess,
    PoolPlaces,
    PullSecrets,
    TrackingAccess,
)
from infra.composition.kinds import TRAINER, KindNeed
from infra.composition.service import Build, Documents, Namespace, Placement, Service, Switch
from infra.contract.environment import TRAINING, Environment, Resources, SectionField
from infra.contract.fields import Name, Section
from infra.contract.gpu import Gpu
from infra.contract.model import FILE, HOOKS, Framework, Model, Models
from infra.contract.problems import ConfigError, Problem, show, suggest
from infra.contract.quantities import memory_bytes, milli_cores
from infra.revision import covers

_ROOM = "training"
_MODEL_IMAGE = f"{_ROOM}/model-image"
_CODE = "train.py"
# Those whose adapter connects several processes.
_DISTRIBUTED = (Framework.PYTORCH,)
# What people have beside a model: none of it makes another image.
_BESIDE = ("tests", "notebooks", "*.ipynb", "*.md", "requirements.in", "requirements-serve.in", hooks.LOCK)


class TrainingSection(Section):
    """The training pipeline of one model."""

    resources: Resources | None = Field(
        default=None, description="{cpu, memory} of a Job; those of the model's document when absent"
    )
    node_pool: Name | None = None
    gpu: Gpu | None = None
    workers: int = Field(default=1, ge=1, le=64, description="pods that train one model together, 1 to 64")


SECTION: SectionField[Mapping[str, TrainingSection]] = SectionField(
    "training", dict[Name, TrainingSection], default={}, description="training pipelines by model name"
)


def pipelines(environment: Environment) -> Mapping[str, TrainingSection]:
    """Return the training pipelines by model."""
    return environment.section(SECTION)


def runs(environment: Environment) -> bool:
    """Return whether models are trained in the environment."""
    return bool(pipelines(environment))


def _kinds(environment: Environment) -> Iterator[KindNeed]:
    if environment.cluster.trainer:
        yield KindNeed(("cluster", "trainer"), "true", (TRAINER,))


def image(model: str) -> str:
    """Return the name of a model's image."""
    return f"model-{model}"


def sources(model: str, framework: Framework) -> tuple[str, ...]:
    """Return what of the checkout goes into a model's image."""
    folder = f"models/{model}"
    beside = (f"!{folder}/{name}" for name in _BESIDE)
    return (*_framework_sources(framework), _MODEL_IMAGE, folder, *beside)


def _framework_sources(framework: Framework) -> tuple[str, ...]:
    room = ("*.py", ".dockerignore", "Dockerfile", "requirements.txt", "frameworks/*.py")
    own = (f"frameworks/{framework.package}/*.py", f"frameworks/{framework.package}/requirements.txt")
    return (*(f"{_ROOM}/{name}" for name in (*room, *own)), SHIPPING)


def _builds(environment: Environment, models: Models) -> dict[str, Build]:
    """Return an image for each framework that the environment's models need, one for each of the models, and hooks'."""
    known = {model: models.load(model).framework for model in pipelines(environment)}
    frameworks = {model: framework for model, framework in known.items() if framework is not Framework.NONE}
    builds = {
        _framework_image(framework): _framework_build(framework) for framework in sorted(set(frameworks.values()))
    }
    builds |= {image(model): _model_build(model, framework, models) for model, framework in frameworks.items()}
    return builds | hooks.builds(models, pipelines(environment))


def _framework_image(framework: Framework) -> str:
    return f"{_ROOM}-{framework}"


def _framework_build(framework: Framework) -> Build:
    arguments = {"FRAMEWORK": framework.package}
    return Build(
        _ROOM,
        sources=_framework_sources(framework),
        contexts={SHIPPING: lambda context: stage_shipping(context.root)},
        arguments=arguments,
        sets_times=True,
        installs=True,
    )


def _model_build(model: str, framework: Framework, models: Models) -> Build:
    locked = (models.folder / model / "requirements.txt").is_file()
    return Build(
        _MODEL_IMAGE,
        parent=_framework_image(framework),
        sources=sources(model, framework),
        contexts={"model": partial(_model_folder, model)},
        arguments={"PACKAGES": "locked" if locked else "none"},
        sets_times=True,
        installs=locked,
    )


def _model_folder(model: str, context: Composition) -> Path:
    return staged(Models(context.root / "models"), model, context.root / STAGED / "models" / model)


def staged(models: Models, model: str, place: Path) -> Path:
    """Make `place` what a model's image has of its folder: the document as JSON, its code and its data files."""
    document = models.load(model)
    chosen = sources(model, document.framework)
    stated = document.model_dump(mode="json", by_alias=True)
    if hooks.has_hooks(models, model):
        stated["hooks"] = hooks.digest(models, model)
    return stage(
        models.folder / model,
        place,
        lambda path: path != FILE and covers(chosen, f"models/{model}/{path}"),
        {"model.json": stated},
    )


def _document_rules(environment: Environment, documents: Documents) -> Iterator[Problem]:
    """Yield each pipeline of a model that has no document, and what makes a Job one that is never admitted."""
    known = documents.models.names()
    for model, pipeline in pipelines(environment).items():
        if model in known:
            resources = _stated(model, pipeline, documents.models)
            if resources:
                yield from _never_admitted(environment, model, resources, pipeline.workers)
                yield from _alone(model, pipeline, documents.models)
            else:
                yield Problem(
                    ("training", model),
                    "a model that is an existing file (framework: none)",
                    "models that are trained",
                    f"remove the key; `stellwerk model import {model}` makes its releases",
                )
            if hooks.has_hooks(documents.models, model):
                yield from _hook_problems(environment, model, documents.models)
            continue
        yield Problem(
            ("training", model),
            f"a model without {documents.models.file(model)}",
            ", ".join(known) or "none: no model has a document yet",
            suggest(model, known, f"write {documents.models.file(model)}, or remove the key"),
        )


def _hook_problems(environment: Environment, model: str, models: Models) -> Iterator[Problem]:
    if environment.cluster.shared:
        yield Problem(
            ("training", model),
            f"a model with {models.name}/{model}/{HOOKS}",
            "models that the standard serving image serves: it is built by the stack that owns the cluster, and with "
            "it those of models",
            "train it in the environment that has cluster.shared: false",
        )
    yield from hooks.problems(models, model, ("training", model))


def _resources(pipeline: TrainingSection, document: Model) -> Resources | None:
    """Return what a Job asks for: the environment's own numbers, else the document's; None of what is not trained."""
    return (pipeline.resources or document.training.resources) if document.training else None


def _stated(model: str, pipeline: TrainingSection, models: Models) -> Resources | None:
    """Return what a Job asks for, of a model with code without its document where the environment says it all."""
    if pipeline.resources and (models.folder / model / _CODE).is_file():
        return pipeline.resources
    return _resources(pipeline, models.load(model))


def _placements(environment: Environment) -> Iterator[Placement]:
    for model, pipeline in pipelines(environment).items():
        yield Placement(("training", model, "nodePool"), pipeline.node_pool, pipeline.gpu, pods=0)


def _alone(model: str, pipeline: TrainingSection, models: Models) -> Iterator[Problem]:
    """Yield several workers of a framework that trains in one process."""
    if pipeline.workers == 1:
        return
    framework = models.load(model).framework
    if framework not in _DISTRIBUTED:
        yield Problem(
            ("training", model, "workers"),
            f"{pipeline.workers}, with framework: {framework}",
            f"1; several are possible with framework: {', '.join(_DISTRIBUTED)}",
            "remove the key",
        )


def _never_admitted(environment: Environment, model: str, asked: Resources, workers: int) -> Iterator[Problem]:
    """Yield what makes a single Job one that the quota forbids, whatever else runs."""
    together = f" for its {workers} workers together" if workers > 1 else ""
    quota = environment.quota
    for key, given, limit, more in (
        ("cpu", asked.cpu, quota.cpu, workers * milli_cores(asked.cpu) > milli_cores(quota.cpu)),
        ("memory", asked.memory, quota.memory, workers * memory_bytes(asked.memory) > memory_bytes(quota.memory)),
    ):
        if more:
            yield Problem(
                ("training", model, "resources", key),
                show(given),
                f'at most "{limit}"{together}, because quota.{key} is that for all Jobs of the environment',
                f"ask for less{' or fewer workers' if together else ''}, or raise quota.{key}",
            )


def _compose(context: Composition) -> None:
    from components.training.training_pipeline import TrainingPipeline

    images, models = context.get(BuiltImages), Models(context.root / "models")
    for model, pipeline in pipelines(context.environment).items():
        resources = _resources(pipeline, models.load(model))
        place = context.get(PoolPlaces).find(pipeline.node_pool, pipeline.gpu)
        if resources is None:
            raise ConfigError(
                f"{models.file(model)}: framework: none is an existing file, which nothing trains, whatever {_CODE} is "
                f"beside it; remove {model} from stellwerk:training"
            )
        TrainingPipeline(
            f"train-{model}",
            {
                "namespace": context.get(Namespaces)[TRAINING],
                "priority_class": context.get(Namespaces).priority(TRAINING),
                "model": model,
                "image": images[image(model)],
                "revision": images.revisions[image(model)],
                "pull_secret": context.get(PullSecrets)[TRAINING],
                "tracking": context.get(TrackingAccess).args,
                "store": context.get(ObjectStoreAccess).writer,
                "data": context.get(DataStoreAccess).args,
                "log_store": context.get(LogStoreAccess).args,
                "experiment": context.environment.shared_name(model),
                "workers": pipeline.workers,
                "trainer": context.environment.cluster.trainer,
                "cpu": resources.cpu,
                "memory": resources.memory,
                "node_pool": place.pool if place else None,
                "node_labels": place.labels if place else None,
                "devices": place.devices if place else None,
                "device_claim": place.claim if place else None,
                "tolerations": place.taints if place else None,
            },
            context.opts,
        )


SERVICE = Service(
    "training",
    section=SECTION,
    needs=(
        *(Namespaces, BuiltImages, PullSecrets, PoolPlaces),
        *(ObjectStoreAccess, DataStoreAccess, TrackingAccess, LogStoreAccess),
    ),
    runs=runs,
    switch=Switch(("training",), "pipelines", "no pipeline"),
    document_rules=_document_rules,
    kinds=_kinds,
    placements=_placements,
    namespaces=(Namespace(TRAINING),),
    builds=_builds,
    compose=_compose,
)
