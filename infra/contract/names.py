"""The names of environments; importing them costs nothing."""

from enum import StrEnum


class EnvironmentName(StrEnum):
    """The three environments of the domain model, in the order of promotion."""

    DEV = "dev"
    TEST = "test"
    PROD = "prod"
