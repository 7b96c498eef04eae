"""The models that an environment serves: each by a release that its file points to."""

from collections.abc import Iterator

from infra.composition.context import Composition
from infra.composition.service import Namespace, Service, Stack
from infra.contract.environment import PLATFORM, SERVING
from infra.contract.problems import Problem, show
from infra.contract.release import Release
from infra.services.kserve import ServingRuntime
from infra.services.node_pools import unknown_pool
from infra.services.object_store import ObjectStoreAccess
from infra.services.registry import PullSecrets
from infra.services.serving.capacity import never_admitted
from infra.services.serving.endings import warn
from infra.services.serving.section import SECTION, Model, models
from infra.services.tenancy import Namespaces

__all__ = ["SERVICE", "Model", "models"]


def _rules(stack: Stack) -> Iterator[Problem]:
    environment = stack.environment
    for name, model in models(environment).items():
        yield from unknown_pool(environment, ("models", name, "nodePool"), model.node_pool)
        if model.release is not None and model.release == model.previous:
            yield Problem(
                ("models", name, "previous"),
                show(model.previous),
                "a release other than the serving one, or null",
                "name the release that served before, or set null",
            )
    yield from never_admitted(environment)


def _compose(context: Composition) -> None:
    import pulumi

    warn(context.environment)
    for name, model in models(context.environment).items():
        if model.release is not None:
            _serve(context, name, model, context.releases[name, model.release])
    pulumi.export("models", {name: model.release for name, model in models(context.environment).items()})


def _serve(context: Composition, name: str, model: Model, release: Release) -> None:
    from components.serving.inference_service import InferenceService

    values, namespaces = context.environment, context.get(Namespaces)
    InferenceService(
        name,
        {
            "namespace": namespaces[SERVING],
            "environment": values.environment.value,
            "model": name,
            "release": release.metadata.release,
            "run_id": release.run.run_id,
            "image": release.serving.image,
            "pull_secret": context.get(PullSecrets)[SERVING],
            "runtime": context.get(ServingRuntime).name,
            "store": context.get(ObjectStoreAccess).reader,
            "artefact_key": release.artefact.key,
            "artefact_digest": release.artefact.digest,
            "artefact_size": release.artefact.size,
            "clients": namespaces[PLATFORM],
            "replicas": model.replicas,
            "cpu": model.resources.cpu,
            "memory": model.resources.memory,
            "context": values.cluster.context,
            "deadline": context.target.deadline(),
            "node_pool": model.node_pool,
        },
        context.opts,
    )


SERVICE = Service(
    "serving",
    section=SECTION,
    needs=(Namespaces, PullSecrets, ObjectStoreAccess, ServingRuntime),
    rules=_rules,
    namespaces=(Namespace(SERVING),),
    compose=_compose,
)
