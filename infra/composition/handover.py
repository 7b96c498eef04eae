"""What services hand to one another: values with types, so that no service knows who gives what it needs.

A service may also declare a type of its own in its module; the services that need it then stand in other packages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pulumi

    from components.kit.access import LoginArgs, LogStoreAccessArgs, StoreAccessArgs, TrackingAccessArgs
    from components.kit.device_claims import DeviceClaimArgs


@dataclass(frozen=True)
class Namespaces:
    """The names of the namespaces by purpose, known once they exist, and the priority classes of their pods."""

    by_purpose: Mapping[str, "pulumi.Output[str]"]
    priorities: Mapping[str, "pulumi.Input[str]"] = field(default_factory=dict)

    def __getitem__(self, purpose: str) -> "pulumi.Output[str]":
        return self.by_purpose[purpose]

    def priority(self, purpose: str) -> "pulumi.Input[str] | None":
        """Return the name of the priority class of the pods of a namespace, None where they have none."""
        return self.priorities.get(purpose)


@dataclass(frozen=True)
class RegistryAccess:
    """Where images are pushed to, known once it answers, and with which login; None: that of whoever builds."""

    address: "pulumi.Input[str]"
    builder: "LoginArgs | None"


@dataclass(frozen=True)
class PullSecrets:
    """Names of the secrets that pods pull images with, by the purpose of their namespace; None: nodes log in."""

    by_purpose: Mapping[str, "pulumi.Output[str] | None"]

    def __getitem__(self, purpose: str) -> "pulumi.Output[str] | None":
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
class LogStoreAccess:
    """How pods ship their own lines; None where the shipper of their node does."""

    args: "LogStoreAccessArgs | None"


@dataclass(frozen=True)
class ClusterRuntime:
    """The cluster owner's runtime for all inference services, and KServe's word for plain Deployments."""

    name: "pulumi.Input[str]"
    deployment_mode: str


@dataclass(frozen=True)
class ServingRuntime:
    """The runtime that inference services ask for, and KServe's word for those that are plain Deployments."""

    name: "pulumi.Input[str]"
    deployment_mode: str


@dataclass(frozen=True)
class ModelUrls:
    """The URL inside the cluster of every model of the environment, by name, whether it has a release or not."""

    by_model: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """Where pods run: the pool's name, keys of the taints there, what each pod asks for by resource, or claims (DRA).

    `labels` are those of the pool's nodes where these do not name it.
    """

    pool: str
    taints: tuple[str, ...]
    devices: Mapping[str, str]
    labels: Mapping[str, str] | None = None
    claim: "DeviceClaimArgs | None" = None


@dataclass(frozen=True)
class PoolPlaces:
    """What pods on the environment's node pools need; `find` takes a pool's name and what is said of the GPU."""

    find: Callable[[str | None, "int | str | None"], Place | None]


@dataclass(frozen=True)
class SharedGpus:
    """How GPUs of pools are shared, by the pool's name: instances of each GPU (MIG), or pods that share one."""

    mig: Mapping[str, Mapping[str, int]]
    time_slicing: Mapping[str, int]
    mps: Mapping[str, int]


@dataclass(frozen=True)
class ModelServices:
    """The Services that answer for every model of the environment, by its name: each with its share of the requests."""

    by_model: Mapping[str, Mapping[str, int]]
