"""The models that an environment serves: each by a release that its file points to."""

import json
from collections.abc import Iterator

from infra.composition import hooks
from infra.composition.context import Composition
from infra.composition.handover import (
    LogStoreAccess,
    ModelServices,
    ModelUrls,
    Namespaces,
    ObjectStoreAccess,
    PoolPlaces,
    PullSecrets,
    ServingRuntime,
)
from infra.composition.kinds import KEDA, KindNeed
from infra.composition.service import Documents, Namespace, Placement, Service, Stack
from infra.contract.artefact import Format
from infra.contract.environment import PLATFORM, SERVING, Environment
from infra.contract.problems import Problem, show
from infra.contract.release import Release
from infra.services.serving import scaling
from infra.services.serving.capacity import memory_problem, never_admitted, too_large
from infra.services.serving.endings import warn
from infra.services.serving.section import (
    SECTION,
    Model,
    digests,
    failed,
    models,
    pointers,
    takes_unevaluated,
    unevaluated,
    without_test_set,
)

__all__ = ["APPLIED", "SERVICE", "Model", "digests", "memory_problem", "models", "takes_unevaluated"]

# The output that says by digests with which values of each model the stack was applied.
APPLIED = "modelDigests"
# Characters of a DNS label.
_LONGEST = 63


def _kinds(environment: Environment) -> Iterator[KindNeed]:
    keda = environment.autoscaler.keda
    if keda is not None:
        yield KindNeed(("autoscaler", "keda"), f"KEDA, which asks {show(keda.prometheus)}", (KEDA,))


def _rules(stack: Stack) -> Iterator[Problem]:
    environment = stack.environment
    namespace = environment.namespace(SERVING)
    for name, model in models(environment).items():
        if len(f"{name}-{namespace}") > _LONGEST:
            yield Problem(
                ("models", name),
                f"a name of {len(name)} characters",
                f"at most {_LONGEST - len(namespace) - 1}, because KServe makes one DNS label of it and {namespace}",
                "rename the model, or shorten the names of environment and team",
            )
        if model.release is not None and model.release == model.previous:
            yield Problem(
                ("models", name, "previous"),
                show(model.previous),
                "a release other than the serving one, or null",
                "name the release that served before, or set null",
            )
    yield from scaling.problems(environment)
    yield from never_admitted(environment)


def _builds_hooks(environment: Environment) -> bool:
    """Return whether models with code of their own get their images here: where releases enter, on the server's."""
    cluster = environment.cluster
    return environment.releases_from is None and (cluster.own_runtime or not cluster.shared)


def _document_rules(environment: Environment, documents: Documents) -> Iterator[Problem]:
    for name in models(environment) if _builds_hooks(environment) else ():
        if hooks.has_hooks(documents.models, name):
            yield from hooks.problems(documents.models, name, ("models", name))
    yield from too_large(environment, documents.releases)
    yield from unevaluated(environment, documents.releases)
    yield from without_test_set(environment, documents.test_sets)
    yield from failed(environment, documents.releases, documents.evidence)


def _placements(environment: Environment) -> Iterator[Placement]:
    for name, model in models(environment).items():
        yield Placement(
            ("models", name, "nodePool"), model.node_pool, model.gpu, model.replicas if model.release else 0
        )


def _compose(context: Composition) -> None:
    import pulumi

    from components.serving.inference_service import url
    from components.serving.rollout import deployment_name

    moved = context.target.moved()
    if moved is None:
        # Asked of the engine, which reads the whole state for it. The command has looked before it moves one model.
        warn(context.environment)
    # Every model has its URL before it has a release: the gateway does not change when the first one comes.
    namespace = context.environment.namespace(SERVING)
    context.give(ModelUrls({name: url(namespace, name) for name in models(context.environment)}))
    context.give(ModelServices({name: {deployment_name(name): 1} for name in models(context.environment)}))
    for name, model in models(context.environment).items():
        if model.release is not None and moved in (None, name):
            _serve(context, name, model, context.releases[name, model.release])
    pulumi.export("models", {name: model.release for name, model in models(context.environment).items()})
    pulumi.export(APPLIED, digests(context.environment))


def _serve(context: Composition, name: str, model: Model, release: Release) -> None:
    from components.serving.inference_service import InferenceService

    values, namespaces = context.environment, context.get(Namespaces)
    place = context.get(PoolPlaces).find(model.node_pool, model.gpu)
    files = [file.model_dump(mode="json") for file in release.artefact.files]
    InferenceService(
        name,
        {
            "namespace": namespaces[SERVING],
            "environment": values.scope,
            "model": name,
            "release": release.metadata.release,
            "run_id": release.run.run_id if release.run else "imported",
            "image": release.serving.image,
            "pull_secret": context.get(PullSecrets)[SERVING],
            "runtime": context.get(ServingRuntime).name,
            "deployment_mode": context.get(ServingRuntime).deployment_mode,
            "store": context.get(ObjectStoreAccess).reader,
            "artefact_key": release.artefact.key,
            "artefact_digest": release.artefact.digest,
            "artefact_size": release.artefact.total_size,
            "artefact_file": None if release.artefact.format is Format.ONNX else release.artefact.format.file,
            "artefact_files": json.dumps(files) if files else None,
            "clients": namespaces[PLATFORM],
            "replicas": model.replicas,
            "autoscaling": scaling.arguments(values, name, model),
            "cpu": model.resources.cpu,
            "memory": model.resources.memory,
            "context": values.cluster.context,
            "deadline": context.target.deadline(),
            "node_pool": place.pool if place else None,
            "node_labels": place.labels if place else None,
            "devices": place.devices if place else None,
            "device_claim": place.claim if place else None,
            "tolerations": place.taints if place else None,
            "priority_class": namespaces.priority(SERVING),
            "log_store": context.get(LogStoreAccess).args,
        },
        context.opts,
    )


SERVICE = Service(
    "serving",
    section=SECTION,
    needs=(Namespaces, PullSecrets, ObjectStoreAccess, ServingRuntime, PoolPlaces, LogStoreAccess),
    gives=(ModelUrls, ModelServices),
    rules=_rules,
    kinds=_kinds,
    pointers=pointers,
    document_rules=_document_rules,
    placements=_placements,
    namespaces=(Namespace(SERVING),),
    builds=lambda environment, documents: hooks.builds(documents, models(environment)),
    builds_in=_builds_hooks,
    compose=_compose,
)
