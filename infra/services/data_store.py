"""An S3 bucket with data to train on, which is nobody's of this project: training Jobs read it, and nothing else."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from infra.composition.context import Composition
from infra.composition.credentials import CredentialsPart
from infra.composition.draft import Draft
from infra.composition.handover import DataStoreAccess
from infra.composition.logins import S3Keys, take_login
from infra.composition.service import Service, Stack
from infra.contract.environment import Environment, SectionField
from infra.contract.fields import Section
from infra.contract.problems import Problem, proved, required

if TYPE_CHECKING:
    from components.kit.access import StoreAccessArgs

_KEY = "dataStore"
_VARIABLES = {"accessKey": "AWS_DATA_ACCESS_KEY_ID", "secretKey": "AWS_DATA_SECRET_ACCESS_KEY"}


class DataStoreSection(Section):
    """An S3 bucket with data to train on, beside the environment's own; none while it names no bucket."""

    bucket: str | None = Field(
        default=None, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="the name of a bucket, or null"
    )
    endpoint: str | None = Field(default=None, pattern=r"^https://[^/]+$", description="an https URL without a path")
    region: str = Field(default="us-east-1", min_length=1, description="the store's region, such as eu-central-1")


class DataStoreKeys(S3Keys):
    """A login that reads the bucket; it needs no other right."""


SECTION: SectionField[DataStoreSection] = SectionField("data_store", DataStoreSection, default=DataStoreSection())


def bucket(environment: Environment) -> str | None:
    """Return the bucket, None where the environment names none."""
    return section(environment).bucket


def section(environment: Environment) -> DataStoreSection:
    """Return the values of the section."""
    return environment.section(SECTION)


def _rules(stack: Stack) -> Iterator[Problem]:
    values = section(stack.environment)
    if values.bucket is not None:
        yield from required((_KEY, "endpoint"), values.endpoint, "an https URL, because a bucket is named")
    elif values.endpoint is not None:
        yield from required((_KEY, "bucket"), values.bucket, "the name of a bucket, because an endpoint is named")


def _credentials(environment: Environment) -> Mapping[str, type[CredentialsPart]]:
    return {_KEY: DataStoreKeys} if bucket(environment) else {}


def _make_credentials(draft: Draft) -> None:
    if bucket(draft.environment):
        take_login(draft, (_KEY,), _VARIABLES, "the store of data to train on")


def _compose(context: Composition) -> None:
    values = section(context.environment)
    access: StoreAccessArgs | None = None
    if values.bucket is not None:
        access = {
            "bucket": values.bucket,
            "endpoint": proved(values.endpoint),
            "region": values.region,
            "keys": context.credentials.get(DataStoreKeys).args(),
        }
    context.give(DataStoreAccess(access))


SERVICE = Service(
    "data-store",
    section=SECTION,
    gives=(DataStoreAccess,),
    rules=_rules,
    credentials=_credentials,
    make_credentials=_make_credentials,
    compose=_compose,
)
