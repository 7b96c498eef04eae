"""The tracking server, MLflow, with its database; or one that runs elsewhere."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SecretStr, model_validator

from components.kit import ports
from components.kit.names import TENSORBOARD
from components.kit.names import TRACKING as TRACKING_SERVICE
from infra.composition.context import Composition, secret
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft, password
from infra.composition.handover import BuiltImages, Namespaces, ObjectStoreAccess, PullSecrets, TrackingAccess
from infra.composition.logins import PageLogin, make_page_login
from infra.composition.service import Ask, Build, Page, Service, Stack, Switch
from infra.contract.environment import PLATFORM, TRAINING, Environment, Resources, SectionField, scope
from infra.contract.fields import NamespaceName, Section
from infra.contract.model import Models
from infra.contract.problems import ConfigError, Problem, proved, required
from infra.contract.stacks import StackFiles

if TYPE_CHECKING:
    from components.kit.access import PodResourcesArgs

_STORAGE = "5Gi"
_KEY = "tracking"
_FOLDER = "components/tracking/images"
_BOARD_PATH = f"/{TENSORBOARD}"
_VARIABLES = {"username": "STELLWERK_TRACKING_USERNAME", "password": "STELLWERK_TRACKING_PASSWORD"}


class TrackingMode(StrEnum):
    """Who runs the tracking server."""

    EMBEDDED = "embedded"
    EXTERNAL = "external"
    OFF = "off"


class TrackingSection(Section):
    """MLflow."""

    mode: Annotated[
        TrackingMode, Field(description="embedded (this stack runs it), external (it runs elsewhere) or off")
    ]
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s]+(/\S*)?$",
        description="an http or https URL, as training Jobs reach it",
    )
    clients: list[NamespaceName] = Field(
        default=[], description="a list of namespaces of other stacks on the cluster whose pods may connect"
    )

    tensorboard: bool = Field(
        default=False, description="true, with embedded: TensorBoard runs beside it, for runs that log event files"
    )
    resources: Resources | None = None
    database_resources: Resources | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, values: Any) -> Any:
        if isinstance(values, dict) and "enabled" in values:
            raise ValueError("`mode` instead of `enabled`: `stellwerk migrate` writes it")
        return values


class TrackingKeys(CredentialsPart):
    """Password of the tracking database."""

    postgres_password: SecretStr


class TensorBoardLogin(PageLogin):
    """Who may see TensorBoard."""


class TrackingLogin(CredentialsPart):
    """The login of a tracking server that runs elsewhere; empty where it has none."""

    username: str | None = None
    password: SecretStr | None = None


SECTION: SectionField[TrackingSection] = SectionField(
    "tracking", TrackingSection, default=TrackingSection(mode=TrackingMode.OFF)
)


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack runs the tracking server."""
    return _section(environment).mode is TrackingMode.EMBEDDED


def external_url(environment: Environment) -> str | None:
    """Return the URL of a tracking server that runs elsewhere; None where this stack runs one, or none is used."""
    section = _section(environment)
    return proved(section.url) if section.mode is TrackingMode.EXTERNAL else None


def url_inside(environment: Environment) -> str:
    """Return the URL of the environment's own tracking server inside its cluster."""
    return f"http://{TRACKING_SERVICE}.{environment.namespace(PLATFORM)}.svc.cluster.local:{ports.TRACKING}"


def _section(environment: Environment) -> TrackingSection:
    return environment.section(SECTION)


def _rules(stack: Stack) -> Iterator[Problem]:
    section = _section(stack.environment)
    if section.tensorboard and section.mode is not TrackingMode.EMBEDDED:
        yield Problem(
            (_KEY, "tensorboard"),
            "true",
            f"false, because tracking.mode is {section.mode}: TensorBoard runs where the tracking server does",
            "set it in the environment that runs the tracking server",
        )
    if section.mode is TrackingMode.EXTERNAL:
        yield from required((_KEY, "url"), section.url, "a URL, because mode is external")


def _credentials(environment: Environment) -> Mapping[str, type[CredentialsPart]]:
    if runs(environment):
        return {_KEY: TrackingKeys, **({TENSORBOARD: TensorBoardLogin} if _section(environment).tensorboard else {})}
    return {_KEY: TrackingLogin} if external_url(environment) else {}


def _make_credentials(draft: Draft) -> None:
    if runs(draft.environment):
        draft.need(_KEY, "postgresPassword", make=password)
        if _section(draft.environment).tensorboard:
            draft.need(TENSORBOARD, make=make_page_login)
        return
    url = external_url(draft.environment)
    if url is None:
        return
    draft.need(_KEY, make=dict)
    # A server inside the cluster, behind its network policy, has no login.
    if any(draft.variables.get(variable) for variable in _VARIABLES.values()):
        if not url.startswith("https://"):
            raise ConfigError(f"{draft.name}: a login is sent to https URLs alone, and stellwerk:tracking.url is {url}")
        for key, variable in _VARIABLES.items():
            draft.need(_KEY, key, make=partial(draft.given, variable, f"the tracking server {url}"))


def _compose(context: Composition) -> None:
    from components.tracking.tracking_server import TrackingServer

    namespaces, images, section = context.get(Namespaces), context.get(BuiltImages), _section(context.environment)
    server_asks, database_asks = _asks(context.environment)
    server = TrackingServer(
        "tracking",
        {
            "namespace": namespaces[PLATFORM],
            "image": images["mlflow"],
            "database_image": images["postgres"],
            "pull_secret": context.get(PullSecrets)[PLATFORM],
            "database_password": secret(context.credentials.get(TrackingKeys).postgres_password),
            "storage": _STORAGE,
            "store": context.get(ObjectStoreAccess).writer,
            "resources": _asked(server_asks),
            "database_resources": _asked(database_asks),
            "priority_class": namespaces.priority(PLATFORM),
            "clients": [
                namespaces.by_purpose.get(TRAINING, namespaces[PLATFORM]),
                *section.clients,
                *_users(context.environment, StackFiles(context.root)),
            ],
        },
        context.opts,
    )
    context.give(TrackingAccess({"uri": server.uri}))
    if section.tensorboard:
        _board(context)


def _board(context: Composition) -> None:
    from components.tracking.tensorboard import TensorBoard

    namespaces = context.get(Namespaces)
    TensorBoard(
        "tensorboard",
        {
            "namespace": namespaces[PLATFORM],
            "image": context.get(BuiltImages)["tensorboard"],
            "pull_secret": context.get(PullSecrets)[PLATFORM],
            "store": context.get(ObjectStoreAccess).reader,
            # The gateway's, where it is this environment's own.
            "clients": [namespaces[PLATFORM]],
            "path": _BOARD_PATH,
            "priority_class": namespaces.priority(PLATFORM),
        },
        context.opts,
    )


def _pages(environment: Environment) -> Iterator[Page]:
    if _section(environment).tensorboard:
        inside = f"http://{TENSORBOARD}.{environment.namespace(PLATFORM)}.svc.cluster.local:{ports.TENSORBOARD}"
        yield Page(TENSORBOARD, _BOARD_PATH, inside, TensorBoardLogin)


def _builds(environment: Environment, _: Models) -> Mapping[str, Build]:
    names = ("mlflow", "tensorboard") if _section(environment).tensorboard else ("mlflow",)
    return {**{name: _server(name) for name in names}, "postgres": Build(f"{_FOLDER}/postgres")}


def _server(name: str) -> Build:
    """Return the image of a server in Python: one Dockerfile for all, a folder of files for each."""
    sources = tuple(f"{_FOLDER}/{file}" for file in ("Dockerfile", ".dockerignore", name))
    return Build(_FOLDER, sources=sources, arguments={"SERVER": name}, sets_times=True, installs=True)


def _asks(environment: Environment) -> Iterator[Ask]:
    section, defaults = _section(environment), environment.defaults
    for key, given, default in (
        ("resources", section.resources, defaults.tracking),
        ("databaseResources", section.database_resources, defaults.tracking_database),
    ):
        asked = given or Resources(cpu=default.cpu, memory=default.memory)
        yield Ask(("tracking", key), 1, asked.cpu, asked.memory)


def _asked(ask: Ask) -> "PodResourcesArgs":
    return {"cpu": ask.cpu, "memory": ask.memory}


def _users(owner: Environment, files: StackFiles) -> Iterator[str]:
    """Yield the namespace of Jobs of each other environment of the checkout that uses this server, on this cluster."""
    url = url_inside(owner)
    for name in files.names():
        values: Mapping[str, Any] = {}
        # What is wrong with another one's file is an error of that one.
        with suppress(ConfigError):
            values = files.values(name)
        section, cluster = values.get(_KEY), values.get("cluster")
        if (
            isinstance(section, Mapping)
            and isinstance(cluster, Mapping)
            and (section.get("mode"), section.get("url")) == (TrackingMode.EXTERNAL, url)
            and cluster.get("context") == owner.cluster.context
        ):
            yield f"{scope(name, values.get('team'))}-{TRAINING}"


def _connect(context: Composition) -> None:
    url, login = proved(external_url(context.environment)), context.credentials.get(TrackingLogin)
    context.give(
        TrackingAccess(
            {
                "uri": url,
                "login": {"username": login.username, "password": secret(login.password)}
                if login.username and login.password
                else None,
                "private": url.startswith("https://"),
            }
        )
    )


SERVICE = Service(
    "tracking",
    section=SECTION,
    needs=(Namespaces, BuiltImages, PullSecrets, ObjectStoreAccess),
    gives=(TrackingAccess,),
    runs=runs,
    switch=Switch(("tracking", "mode"), "embedded, or external with its url", "off"),
    rules=_rules,
    asks=_asks,
    credentials=_credentials,
    make_credentials=_make_credentials,
    pages=_pages,
    builds=_builds,
    compose=_compose,
    connect=_connect,
    elsewhere=lambda environment: _section(environment).mode is TrackingMode.EXTERNAL,
)
