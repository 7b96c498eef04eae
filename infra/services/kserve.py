"""KServe, the controller of inference services: cluster-wide, run by the stack that owns the cluster."""

from components.kit.names import KSERVE_WEBHOOK, SERVING_RUNTIME
from infra.composition.context import Composition
from infra.composition.handover import BuiltImages, Namespaces, ServingRuntime
from infra.composition.service import Build, Certificate, Namespace, Service, Switch
from infra.contract.environment import KSERVE, Environment, PlatformImage
from infra.targets.target import Folder
from infra.targets.variables import MANIFESTS

_MANAGER = PlatformImage("kserve-manager")
_MANIFESTS = Folder(MANIFESTS, "kserve")


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack runs the cluster-wide controller."""
    return not environment.cluster.shared


def _build(environment: Environment) -> Build:
    arguments = {"CUDA": "1"} if environment.images.serving_cuda else {}
    sources = ("serving", "!serving/model-image")
    return Build("serving", sources=sources, arguments=arguments, sets_times=True, installs=True)


def _compose(context: Composition) -> None:
    from components.serving.kserve import KServe

    serving = KServe(
        "kserve",
        {
            "namespace": context.get(Namespaces)[KSERVE],
            "image": context.environment.image(_MANAGER),
            "manifests": context.relative(context.target.folder(_MANIFESTS)),
            "runtime_image": context.get(BuiltImages)["serving"],
            "tls": context.tls,
            "authority": context.authority,
        },
        context.opts,
    )
    context.give(ServingRuntime(serving.runtime))


def _connect(context: Composition) -> None:
    """Hand on the runtime that the owner of a shared cluster has put there."""
    context.give(ServingRuntime(SERVING_RUNTIME))


SERVICE = Service(
    "kserve",
    images=(_MANAGER,),
    needs=(Namespaces, BuiltImages),
    gives=(ServingRuntime,),
    runs=runs,
    switch=Switch(("cluster", "shared"), "false", "true"),
    certificates=(Certificate("kserveWebhook", (KSERVE_WEBHOOK,), KSERVE),),
    namespaces=(Namespace(KSERVE, pulls=False),),
    folders=lambda _: [_MANIFESTS],
    # Images of models that have code of their own there are built on it.
    builds=lambda environment, _: {"serving": _build(environment)},
    compose=_compose,
    connect=_connect,
)
