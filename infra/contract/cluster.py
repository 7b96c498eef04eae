"""The cluster document: what `stacks/Pulumi.<cluster>.yaml` says of a cluster that a stack of its own makes.

Environments stand on such a stack, and join it by `cluster.stack`. Every description is also the text an error shows as
allowed, and the help an editor shows from the JSON Schema.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from ipaddress import IPv4Network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from infra.contract.environment import scope
from infra.contract.fields import NAME, NAME_RULE, CapacityType, EnvironmentName, Name, Section, TeamName
from infra.contract.problems import Problem, show

_ZONES = 3
# What a resource policy, an access entry and a role trust of AWS name somebody by.
_ARN = r"^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[\w+=,.@/-]+$"


def _network(text: str) -> str:
    """Return the text; raise ValueError where it is no IPv4 network in CIDR notation."""
    IPv4Network(text)
    return text


Cidr = Annotated[
    str,
    Field(pattern=r"^[0-9.]+/[0-9]{1,2}$", description="an IPv4 network: 10.20.0.0/16"),
    AfterValidator(_network),
]
Principal = Annotated[str, Field(pattern=_ARN, description="the ARN of a role or a user of IAM")]
Role = Annotated[str, Field(pattern=_ARN.replace("(role|user)", "role"), description="the ARN of a role of IAM")]
Region = Annotated[
    str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$", description="a region of AWS such as eu-central-1")
]
ChartVersion = Annotated[
    str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$", description='the version of the Helm chart: "1.2.3"')
]


class NatGateways(StrEnum):
    """How nodes reach what lies outside the network."""

    ONE = "one"
    PER_ZONE = "perZone"


class AccessPolicy(StrEnum):
    """What an access entry may do in the whole cluster."""

    CLUSTER_ADMIN = "clusterAdmin"
    ADMIN = "admin"
    EDIT = "edit"
    VIEW = "view"


class Identity(StrEnum):
    """How a pod proves to the cloud who it is."""

    IRSA = "irsa"
    POD_IDENTITY = "podIdentity"


class NetworkValues(Section):
    """The network of the cluster: a private and a public subnet per zone."""

    cidr: Cidr
    zones: tuple[str, ...] = Field(
        min_length=2, max_length=_ZONES, description=f"2 to {_ZONES} availability zones: [eu-central-1a, eu-central-1b]"
    )
    nat_gateways: NatGateways = Field(
        default=NatGateways.PER_ZONE, description="perZone (a zone may fail), or one (cheaper)"
    )

    @model_validator(mode="after")
    def _room(self) -> Self:
        if not 16 <= IPv4Network(self.cidr).prefixlen <= 20:
            raise ValueError("cidr: a network of /16 to /20: pods have addresses of it")
        return self


class ApiValues(Section):
    """Who reaches the API server: the network of the cluster always does."""

    public_from: tuple[Cidr, ...] = Field(
        default=(), description="networks of yours that reach it over the internet; []: none does"
    )


class AccessEntry(Section):
    """Somebody of IAM who may use the cluster."""

    principal: Principal
    policy: AccessPolicy = Field(description="clusterAdmin, admin, edit or view, in the whole cluster")


class NodeGroup(Section):
    """A managed node group; its nodes carry the label of the node pool of its name."""

    name: Name
    instance_types: tuple[str, ...] = Field(min_length=1, description="types of instances, the first preferred")
    min: int = Field(ge=0, le=450, description="number of nodes at least, 0 to 450")
    max: int = Field(ge=1, le=450, description="number of nodes at most, 1 to 450")
    capacity: CapacityType = Field(default=CapacityType.ON_DEMAND, description="on-demand or spot")
    disk_gib: int = Field(default=100, ge=20, le=16384, description="size of each node's disk in GiB, 20 to 16384")
    gpus: bool = Field(
        default=False, description="true: instances with NVIDIA GPUs; nodes are tainted with nvidia.com/gpu"
    )

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min of at most max, which is {self.max}")
        return self


class Chart(Section):
    """A controller that is installed by its Helm chart."""

    version: ChartVersion


class LogValues(Section):
    """The logs of control plane and network."""

    retention_days: Literal[30, 60, 90, 180, 365, 400, 731] = Field(
        default=365, description="days that they are kept: 30, 60, 90, 180, 365, 400 or 731"
    )


class RegistryValues(Section):
    """The image repositories in ECR: each is made by the first push to it."""

    prefix: Name


class Tenant(Section):
    """What an environment gets of the cluster's stack: a bucket, and roles that write and read it."""

    bucket: Name
    team: TeamName | None = None
    identity: Identity = Field(default=Identity.IRSA, description="irsa, or podIdentity (EKS Pod Identity)")
    models: tuple[Name, ...] = Field(
        default=(), description="names of models; needed with podIdentity, which names each service account"
    )


class EksCluster(Section):
    """All values of one cluster in AWS."""

    target: Literal["eks"] = Field(description="eks: Amazon's Kubernetes")
    name: str = Field(pattern=NAME, description=f"the stack's name, which the cluster has, too: {NAME_RULE}")
    account: str = Field(pattern=r"^[0-9]{12}$", description='the id of the account as quoted text: "111122223333"')
    region: Region
    version: str = Field(pattern=r"^1\.[0-9]{2}$", description='the version of Kubernetes as quoted text: "1.33"')
    network: NetworkValues
    api: ApiValues = ApiValues()
    access: tuple[AccessEntry, ...] = Field(min_length=1, description="who may use the cluster, at least one entry")
    node_groups: tuple[NodeGroup, ...] = Field(min_length=1, description="at least one group: controllers run there")
    karpenter: Chart | None = None
    load_balancer_controller: Chart | None = None
    registry: RegistryValues | None = None
    environments: Mapping[EnvironmentName, Tenant] = Field(
        default={}, description="a mapping from environments' names to what each gets"
    )
    logs: LogValues = LogValues()
    tags: Mapping[str, str] = Field(default={}, description="tags of every resource: a mapping of texts")

    @property
    def partition(self) -> str:
        """Return the part of AWS that the region is in, as ARNs name it."""
        return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(re.split(r"-(?!gov)", self.region)[0], "aws")

    def scopes(self) -> dict[str, str]:
        """Return what each environment is called on the cluster, by its name."""
        return {name: scope(name, tenant.team) for name, tenant in self.environments.items()}


def violations(cluster: EksCluster) -> Iterator[Problem]:
    """Yield every broken rule between values of the cluster."""
    for index, network in enumerate(cluster.api.public_from):
        if IPv4Network(network).prefixlen < 8:
            allowed = "a network of yours, /8 or smaller, because who is in it may try logins at the API server"
            yield Problem(("api", "publicFrom", index), show(network), allowed, "name the addresses of your company")
    for index, zone in enumerate(cluster.network.zones):
        if not zone.startswith(cluster.region):
            action = "correct the zone or the region"
            yield Problem(("network", "zones", index), show(zone), f"a zone of {cluster.region}", action)
    yield from _twice(("network", "zones"), cluster.network.zones, "a zone of its own")
    yield from _twice(("nodeGroups",), [group.name for group in cluster.node_groups], "a name of its own")
    if all(group.gpus or group.min == 0 for group in cluster.node_groups):
        allowed = "a group without GPUs with min of at least 1, because controllers run there"
        yield Problem(("nodeGroups",), "none", allowed, "add such a group")
    buckets = [tenant.bucket for tenant in cluster.environments.values()]
    for name, tenant in cluster.environments.items():
        if buckets.count(tenant.bucket) > 1:
            path = ("environments", name, "bucket")
            yield Problem(path, show(tenant.bucket), "a bucket of its own for each environment", "name another one")
        if tenant.identity is Identity.POD_IDENTITY and not tenant.models:
            path = ("environments", name, "models")
            allowed = "the names of its models, because podIdentity names each service account"
            yield Problem(path, "none", allowed, "add the key, or set identity to irsa")


def _twice(path: tuple[str, ...], given: "tuple[str, ...] | list[str]", allowed: str) -> Iterator[Problem]:
    for index, each in enumerate(given):
        if each in given[:index]:
            yield Problem((*path, index), show(each), allowed, "change one of the two")
