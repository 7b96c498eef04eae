"""The image registry that workload images are pushed to and pulled from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from infra.composition.context import Composition, secret
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft, hashed, password
from infra.composition.handover import Namespaces, PullSecrets, RegistryAccess
from infra.composition.service import Certificate, NodePort, Service
from infra.contract.environment import PLATFORM, Environment, Mode, PlatformImage
from infra.contract.errors import StellwerkError
from infra.services.registry.section import SECTION, Kind, rules, section_of

if TYPE_CHECKING:
    import pulumi

    from components.kit.access import LoginArgs

_IMAGE, _PROXY = PlatformImage("registry"), PlatformImage("traefik")
_STORAGE = "15Gi"
_BUILDER = "builder"
_KEY = "registry"
_VARIABLES, _PUSH_VARIABLES = "STELLWERK_REGISTRY", "STELLWERK_REGISTRY_PUSH"


class Login(CredentialsPart):
    """A login of the registry."""

    username: str
    password: SecretStr

    def args(self) -> "LoginArgs":
        """Return the login as components take it."""
        return {"username": self.username, "password": secret(self.password)}


class PushLogin(Login):
    """The login that pushes to a registry of this stack, and its htpasswd line."""

    htpasswd: SecretStr


class RegistryLogins(Login):
    """The login that pods pull images with; the one that builds push with, where that is another."""

    push: Login | None = None

    @property
    def builder(self) -> Login:
        """Return the login of image builds: a registry that runs elsewhere may have one for both."""
        return self.push or self


class OwnRegistryLogins(RegistryLogins):
    """Logins of a registry of this stack: htpasswd lines of all that may pull only, and the one login that pushes."""

    htpasswd: SecretStr
    push: PushLogin


def address(environment: Environment) -> str:
    """Return the address that images are pulled from."""
    return section_of(environment).address


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack runs the registry."""
    return section_of(environment).mode is Mode.EMBEDDED


def _has_logins(environment: Environment) -> bool:
    """Return whether logins are kept; those of ECR end after 12 hours: nodes and builds get their own each time."""
    return section_of(environment).kind is not Kind.ECR


def _credentials(environment: Environment) -> Mapping[str, type[CredentialsPart]]:
    if not _has_logins(environment):
        return {}
    return {_KEY: OwnRegistryLogins if runs(environment) else RegistryLogins}


def _make_credentials(draft: Draft) -> None:
    if not _has_logins(draft.environment):
        return
    if runs(draft.environment):
        _make_logins(draft)
        return
    owner = _owner(draft)
    if owner is None:
        draft.need(_KEY, make=lambda: _given_logins(draft))
        return
    draft.need(_KEY, "username", make=lambda: draft.name)
    draft.need(_KEY, "password", make=lambda: _made(draft, owner)["logins"][draft.name])
    if draft.environment.images.base_python:
        draft.need(_KEY, "push", make=lambda: _made(draft, owner)["push"])


def _make_logins(draft: Draft) -> None:
    """Make a login per environment, which pulls, and one that pushes: a leaked one can be changed alone."""
    draft.need(_KEY, "logins", make=dict)
    logins = draft.values[_KEY]["logins"]
    draft.need(_KEY, "htpasswd", make=lambda: _htpasswd(logins))
    for name in draft.neighbours.names:
        if name not in logins:
            draft.need(_KEY, "logins", name, make=password)
            draft.values[_KEY]["htpasswd"] += _htpasswd({name: logins[name]})
    draft.need(_KEY, "username", make=lambda: draft.name)
    draft.need(_KEY, "password", make=lambda: logins[draft.name])
    draft.need(_KEY, "push", make=_push_login)


def _push_login() -> dict[str, str]:
    made = password()
    return {"username": _BUILDER, "password": made, "htpasswd": _htpasswd({_BUILDER: made})}


def _htpasswd(logins: Mapping[str, str]) -> str:
    return "".join(f"{name}:{hashed(text)}\n" for name, text in sorted(logins.items()))


def _owner(draft: Draft) -> str | None:
    """Return the environment of this project that runs the registry at that address, None where nobody here does."""
    for name, other in draft.neighbours.environments().items():
        if runs(other) and address(other) == address(draft.environment):
            return name
    return None


def _made(draft: Draft, owner: str) -> Mapping[str, Any]:
    """Return what the registry's owner has made; raise StellwerkError where that is nothing.

    An environment that is newer than the owner's credentials gets its login there first.
    """
    made: Mapping[str, Any] = draft.neighbours.credentials(owner).get(_KEY, {})
    if "push" not in made:
        raise StellwerkError(f"{draft.name}: its registry is {owner}'s; run `stellwerk init {owner}` first")
    if draft.name not in made["logins"]:
        made = draft.neighbours.complete(owner)[_KEY]
    return made


def _given_logins(draft: Draft) -> dict[str, Any]:
    """Return the logins that variables name; without a second pair, images are pushed with the login that pulls."""
    pull: dict[str, Any] = _pair(draft, _VARIABLES)
    if draft.variables.get(f"{_PUSH_VARIABLES}_USERNAME"):
        return {**pull, "push": _pair(draft, _PUSH_VARIABLES)}
    return pull


def _pair(draft: Draft, prefix: str) -> dict[str, str]:
    of = f"the registry {address(draft.environment)}"
    return {key: draft.given(f"{prefix}_{key.upper()}", of) for key in ("username", "password")}


def _compose(context: Composition) -> None:
    from components.registry.image_registry import ImageRegistry

    logins = context.credentials.get(OwnRegistryLogins)
    registry = ImageRegistry(
        "registry",
        {
            "namespace": context.get(Namespaces)[PLATFORM],
            "priority_class": context.get(Namespaces).priority(PLATFORM),
            "image": context.environment.image(_IMAGE),
            "address": address(context.environment),
            "tls": context.tls,
            "proxy_image": context.environment.image(_PROXY),
            "readers": secret(logins.htpasswd),
            "writers": secret(logins.push.htpasswd),
            "storage": _STORAGE,
        },
        context.opts,
    )
    _hand_over(context, logins, registry.address)


def _connect(context: Composition) -> None:
    if not _has_logins(context.environment):
        context.give(RegistryAccess(address(context.environment), None))
        context.give(PullSecrets({purpose: _renewed(context, purpose) for purpose in _pulling(context)}))
        return
    _hand_over(context, context.credentials.get(RegistryLogins), address(context.environment))


def _hand_over(context: Composition, logins: RegistryLogins, where: "pulumi.Input[str]") -> None:
    context.give(RegistryAccess(where, logins.builder.args()))
    context.give(PullSecrets({purpose: _pull_secret(context, logins, purpose) for purpose in _pulling(context)}))


def _pulling(context: Composition) -> list[str]:
    """Return the purposes of the namespaces whose pods run images of the registry."""
    return [namespace.purpose for namespace in context.stack.namespaces() if namespace.pulls]


def _renewed(context: Composition, purpose: str) -> "pulumi.Output[str] | None":
    """Declare the login of ECR for the pods of a namespace; None where nodes log in by themselves."""
    from components.registry.renewed_login import RenewedLogin

    section, namespaces = section_of(context.environment), context.get(Namespaces)
    if section.pod_login is None:
        return None
    made = RenewedLogin(
        f"pull-{purpose}",
        {
            "namespace": namespaces[purpose],
            "registry": section.address.partition("/")[0],
            "role": section.pod_login.role,
            "image": section.pod_login.image,
            "priority_class": namespaces.priority(purpose),
        },
        context.opts,
    )
    return made.secret_name


def _pull_secret(context: Composition, login: Login, purpose: str) -> "pulumi.Output[str]":
    from components.registry.pull_secret import PullSecret

    made = PullSecret(
        f"pull-{purpose}",
        {
            "namespace": context.get(Namespaces)[purpose],
            "address": address(context.environment),
            "login": login.args(),
        },
        context.opts,
    )
    return made.secret_name


SERVICE = Service(
    "registry",
    section=SECTION,
    images=(_IMAGE, _PROXY),
    needs=(Namespaces,),
    gives=(RegistryAccess, PullSecrets),
    runs=runs,
    rules=rules,
    credentials=_credentials,
    make_credentials=_make_credentials,
    certificates=(Certificate("registry", ("registry",)),),
    node_ports=lambda environment: [NodePort(("registry", "address"), section_of(environment).port, "image registry")],
    compose=_compose,
    connect=_connect,
)
