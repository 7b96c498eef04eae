"""What services hand to one another: values with types, so that no service knows who gives what it needs.

A service may also declare a type of its own in its module; the services that need it then stand in other packages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pulumi

    from components.kit.access import LoginArgs, StoreAccessArgs, TrackingAccessArgs


@dataclass(frozen=True)
class Namespaces:
    """The names of the namespaces by purpose, known once they exist."""

    by_purpose: Mapping[str, "pulumi.Output[str]"]

    def __getitem__(self, purpose: str) -> "pulumi.Output[str]":
        return self.by_purpose[purpose]


@dataclass(frozen=True)
class RegistryAccess:
    """Where images are pushed to, known once it answers, and with which login."""

    address: "pulumi.Input[str]"
    builder: "LoginArgs"


@dataclass(frozen=True)
class PullSecrets:
    """Names of the secrets that pods pull images with, by the purpose of their namespace."""

    by_purpose: Mapping[str, "pulumi.Output[str]"]

    def __getitem__(self, purpose: str) -> "pulumi.Output[str]":
        return self.by_purpose[purpose]


# The output that says by image which hooks of a model it has, as a digest.
HOOKS = "hooks"


@dataclass(frozen=True)
class BuiltImages:
    """References by digest of the images that this stack builds, and what each was built from, by name."""

    by_name: Mapping[str, "pulumi.Output[str]"]
    revisions: Mapping[str, str]

    def __getitem__(self, name: str) -> "pulumi.Output[str]":
        return self.by_name[name]


@dataclass(frozen=True)
class ObjectStoreAccess:
    """How pods reach the store: those that write, and those that only read."""

    writer: "StoreAccessArgs"
    reader: "StoreAccessArgs"


@dataclass(frozen=True)
class DataStoreAccess:
    """How training Jobs reach a bucket of somebody else's with data; None where there is none."""

    args: "StoreAccessArgs | None"


@dataclass(frozen=True)
class TrackingAccess:
    """How pods reach the server that records runs."""

    args: "TrackingAccessArgs"


@dataclass(frozen=True)
class ClusterRuntime:
    """The name of the runtime that who owns the cluster has for all inference services on it."""

    name: "pulumi.Input[str]"


@dataclass(frozen=True)
class ServingRuntime:
    """The name of the runtime that inference services ask for."""

    name: "pulumi.Input[str]"


@dataclass(frozen=True)
class ModelUrls:
    """The URL inside the cluster of every model of the environment, by name, whether it has a release or not."""

    by_model: Mapping[str, str]


@dataclass(frozen=True)
class ModelServices:
    """The Services that answer for every model of the environment, by its name: each with its share of the requests."""

    by_model: Mapping[str, Mapping[str, int]]
