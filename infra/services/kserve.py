"""KServe, the controller of inference services: cluster-wide, run by the stack that owns the cluster."""

import re
from collections.abc import Iterator

from pydantic import Field
from pydantic.alias_generators import to_camel

from components.kit.names import KSERVE_WEBHOOK, SERVING_RUNTIME
from infra.composition import hooks
from infra.composition.context import Composition
from infra.composition.handover import BuiltImages, ClusterRuntime, Namespaces
from infra.composition.service import Certificate, Namespace, Service, Stack, Switch
from infra.contract.environment import KSERVE, Environment, PlatformImage, SectionField
from infra.contract.fields import Section
from infra.contract.problems import Problem, show
from infra.contract.versions import version
from infra.targets.target import Folder
from infra.targets.variables import MANIFESTS

_MANAGER = PlatformImage("kserve-manager")
# A tag that names a version, behind which something of one's own may follow; other tags and digests say nothing.
_TAG = re.compile(r":v?([0-9]+(?:\.[0-9]+){1,2})(?:[-_@]|$)")
# The oldest whose objects and controller are tested, and the first that has another word for plain Deployments.
OLDEST = (0, 14)
_STANDARD_SINCE = (0, 16)


class KServeSection(Section):
    """KServe on the cluster: what this stack installs, or what the owner of a shared cluster has."""

    version: str = Field(
        default_factory=lambda: version(_MANAGER.name),
        pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$",
        description="a version of KServe, such as 0.20.0",
    )


SECTION: SectionField[KServeSection] = SectionField("kserve", KServeSection, default=KServeSection())


def installed(environment: Environment) -> str:
    """Return the version of KServe on the environment's cluster."""
    return environment.section(SECTION).version


def deployment_mode(environment: Environment) -> str:
    """Return what the cluster's KServe calls inference services that are plain Deployments.

    With the word of before, its webhook would replace it, and every look at the cluster would find a difference.
    """
    return "Standard" if _numbers(installed(environment)) >= _STANDARD_SINCE else "RawDeployment"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def _manifests(environment: Environment) -> Folder:
    """Return the folder of definitions and role: of another version than this checkout's it has the version's name.

    So none of them is applied with another version's controller, whatever the variable says.
    """
    wanted = installed(environment)
    if wanted == version(_MANAGER.name):
        return Folder(MANIFESTS, "kserve")
    source = f"put crds/ and rbac/role.yaml of KServe {wanted} there (docs/upgrades.md)"
    return Folder(MANIFESTS, f"kserve-{wanted}", source)


def _rules(stack: Stack) -> Iterator[Problem]:
    environment, key = stack.environment, (SECTION.name, "version")
    wanted, own = installed(environment), version(_MANAGER.name)
    image: str | None = environment.images.kserve_manager  # type: ignore[attr-defined]
    if _numbers(wanted) < OLDEST:
        allowed = f"{'.'.join(map(str, OLDEST))} or newer"
        yield Problem(key, show(wanted), allowed, "have the cluster's owner upgrade KServe")
    elif not runs(environment):
        return
    elif image is not None:
        yield from _other_image(image, wanted)
    elif wanted != own:
        action = f"name its image in images.kserveManager, and its manifests by {MANIFESTS}"
        yield Problem(key, show(wanted), f"{own}, whose image and manifests are here", action)


def _other_image(image: str, wanted: str) -> Iterator[Problem]:
    """Yield that an image whose tag names a version is not of the one that is wanted."""
    tag = _TAG.search(image)
    if tag and _numbers(wanted)[: tag[1].count(".") + 1] != _numbers(tag[1]):
        action = "name the image of that version, or say in kserve.version which one the image has"
        yield Problem(
            ("images", to_camel(_MANAGER.field)), show(image), f"KServe {wanted}, by kserve.version or default", action
        )


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack runs the cluster-wide controller."""
    return not environment.cluster.shared


def _compose(context: Composition) -> None:
    from components.serving.kserve import KServe

    asked = context.environment.defaults.controller
    serving = KServe(
        "kserve",
        {
            "namespace": context.get(Namespaces)[KSERVE],
            "image": context.environment.image(_MANAGER),
            "manifests": context.relative(context.target.folder(_manifests(context.environment))),
            "runtime_image": context.get(BuiltImages)[hooks.SERVING],
            "tls": context.tls,
            "authority": context.authority,
            "replicas": asked.replicas,
            "resources": {"cpu": asked.cpu, "memory": asked.memory},
            "priority_class": context.get(Namespaces).priority(KSERVE),
            "context": context.environment.cluster.context,
        },
        context.opts,
    )
    context.give(ClusterRuntime(serving.runtime, deployment_mode(context.environment)))


def _connect(context: Composition) -> None:
    """Hand on the runtime that the owner of a shared cluster has put there."""
    context.give(ClusterRuntime(SERVING_RUNTIME, deployment_mode(context.environment)))


SERVICE = Service(
    "kserve",
    section=SECTION,
    images=(_MANAGER,),
    needs=(Namespaces, BuiltImages),
    gives=(ClusterRuntime,),
    runs=runs,
    rules=_rules,
    switch=Switch(("cluster", "shared"), "false", "true"),
    certificates=(Certificate("kserveWebhook", (KSERVE_WEBHOOK,), KSERVE),),
    namespaces=(Namespace(KSERVE, pulls=False),),
    folders=lambda environment: [_manifests(environment)],
    # Images of models that have code of their own there are built on it.
    builds=lambda environment, _: {hooks.SERVING: hooks.server(environment)},
    compose=_compose,
    connect=_connect,
)
