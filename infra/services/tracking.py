"""The tracking server, MLflow, with its database."""

from collections.abc import Mapping

from pydantic import Field, SecretStr

from infra.composition.context import Composition, secret
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft, password
from infra.composition.handover import BuiltImages, Namespaces, ObjectStoreAccess, PullSecrets, TrackingUri
from infra.composition.service import Build, Service, Switch
from infra.contract.environment import PLATFORM, TRAINING, Environment, SectionField
from infra.contract.fields import Section

_STORAGE = "5Gi"
_KEY = "tracking"
_FOLDER = "components/tracking/images"


class TrackingSection(Section):
    """MLflow."""

    enabled: bool = Field(description="true or false")


class TrackingKeys(CredentialsPart):
    """Password of the tracking database."""

    postgres_password: SecretStr


SECTION: SectionField[TrackingSection] = SectionField(
    "tracking", TrackingSection, default=TrackingSection(enabled=False)
)


def runs(environment: Environment) -> bool:
    """Return whether the environment's own stack runs the tracking server."""
    return environment.section(SECTION).enabled


def _credentials(environment: Environment) -> Mapping[str, type[CredentialsPart]]:
    return {_KEY: TrackingKeys} if runs(environment) else {}


def _make_credentials(draft: Draft) -> None:
    if runs(draft.environment):
        draft.need(_KEY, "postgresPassword", make=password)


def _compose(context: Composition) -> None:
    from components.tracking.tracking_server import TrackingServer

    namespaces, images = context.get(Namespaces), context.get(BuiltImages)
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
            "clients": namespaces.by_purpose.get(TRAINING, namespaces[PLATFORM]),
        },
        context.opts,
    )
    context.give(TrackingUri(server.uri))


SERVICE = Service(
    "tracking",
    section=SECTION,
    needs=(Namespaces, BuiltImages, PullSecrets, ObjectStoreAccess),
    gives=(TrackingUri,),
    runs=runs,
    switch=Switch(("tracking", "enabled"), "true", "false"),
    credentials=_credentials,
    make_credentials=_make_credentials,
    builds=lambda *_: {
        "mlflow": Build(f"{_FOLDER}/mlflow", sets_times=True, installs=True),
        "postgres": Build(f"{_FOLDER}/postgres"),
    },
    compose=_compose,
)
