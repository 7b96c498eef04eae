"""The node pools of an environment: who makes their nodes, what a node has, and how its GPUs are shared."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from infra.composition.gpus import NODE_POOLS
from infra.contract.environment import Environment, SectionField
from infra.contract.fields import CapacityType, Cpu, Memory, Name, Section

_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
LabelKey = Annotated[str, Field(pattern=_KEY, max_length=316, description="the key of a label or a taint")]
LabelValue = Annotated[str, Field(pattern=_VALUE, description="the value of a label or a taint: at most 63 characters")]
Price = Annotated[float | None, Field(ge=0, description="what one node costs per hour, in the currency of all prices")]
DeviceClass = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=63,
        description="a DeviceClass of the cluster (DRA) whose devices pods claim, such as gpu.nvidia.com",
    ),
]
Duration = Annotated[
    str, Field(pattern=r"^([0-9]+(s|m|h))+$", description='a time as text, such as "30s", "5m" or "1h30m"')
]


class Kind(StrEnum):
    """Who makes the nodes of a pool."""

    EXTERNAL = "external"
    EXISTING = "existing"
    SIMULATED = "simulated"
    ELASTIC = "elastic"
    CLOUD = "cloud"


KINDS = {
    Kind.EXTERNAL: "the nodes are somebody else's, with their labels and taints",
    Kind.EXISTING: "nodes that are there, by name or label; of named ones labels and taints are this stack's",
    Kind.SIMULATED: "this stack makes nodes without hardware",
    Kind.ELASTIC: "Karpenter makes nodes for pods that wait, and removes them",
    Kind.CLOUD: "a node group of the stack that makes the cluster",
}


class Effect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Taint(Section):
    """A taint of a pool's nodes; what is placed on the pool tolerates it."""

    key: LabelKey
    value: LabelValue = ""
    effect: Effect = Field(default=Effect.NO_SCHEDULE, description="NoSchedule, PreferNoSchedule or NoExecute")


class Replicas(Section):
    """GPUs that several pods share."""

    replicas: int = Field(ge=2, le=48, description="shares that each GPU is offered as, 2 to 48")


class Sharing(Section):
    """How each GPU of a node is shared: exactly one way."""

    mig: Mapping[str, int] | None = Field(
        default=None, description="instances of each GPU by MIG profile, such as {1g.10gb: 7}"
    )
    time_slicing: Replicas | None = Field(default=None, description="{replicas: N}: pods take turns on a GPU")
    mps: Replicas | None = Field(default=None, description="{replicas: N}: pods run on a GPU at once (CUDA MPS)")

    @property
    def replicated(self) -> Replicas | None:
        """Return the shares by time slicing or MPS, None where there are none."""
        return self.time_slicing or self.mps


class Select(Section):
    """Which nodes are of an existing pool: named ones, which get its label, or those that have labels already."""

    names: tuple[str, ...] = Field(default=(), description="names of nodes of the cluster")
    labels: Mapping[LabelKey, LabelValue] = Field(default={}, description="labels that all nodes of the pool have")


class Provider(StrEnum):
    """Whose nodes Karpenter makes."""

    KWOK = "kwok"
    EC2 = "ec2"


class Consolidation(StrEnum):
    """Which nodes Karpenter removes."""

    EMPTY = "empty"
    UNDERUTILIZED = "underutilized"


class InstanceType(Section):
    """A kind of machine, as its cloud calls it."""

    name: str = Field(pattern=r"^[a-z0-9][-a-z0-9.]*$", description="the instance type's name, such as p5.48xlarge")
    cpu: Cpu
    memory: Memory
    gpus: int | None = Field(default=None, ge=0, le=16, description="GPUs of it; those of the pool when absent")
    price_per_hour: Price = None
    spot_price_per_hour: Price = None


class Limits(Section):
    """What all nodes of a pool together have at most, beside their number."""

    cpu: Cpu | None = None
    memory: Memory | None = None
    gpus: int | None = Field(default=None, ge=1, description="GPUs of all nodes together, at least 1")


class Tags(Section):
    """What of the cloud account nodes use: by tags, or by one id."""

    tags: Mapping[str, str] = Field(min_length=1, description="tags that all must have")


class NodeClass(Section):
    """The EC2 side of nodes (EC2NodeClass)."""

    role: str = Field(min_length=1, description="the IAM role of the nodes, by name")
    ami_alias: str = Field(
        pattern=r"^(al2023|bottlerocket)@.+$", description="an image alias with its version, such as al2023@v20251101"
    )
    subnets: Tags = Field(description="{tags: …} of the subnets")
    security_groups: Tags = Field(description="{tags: …} of the security groups")
    volume_size: Memory = "100Gi"


class Elastic(Section):
    """What Karpenter may make, and when it removes it again."""

    provider: Provider = Field(default=Provider.EC2, description="ec2 (EKS), or kwok (nodes without hardware)")
    instance_types: tuple[InstanceType, ...] = Field(min_length=1, description="a list of instance types, at least one")
    capacity_types: tuple[CapacityType, ...] = Field(
        default=(CapacityType.ON_DEMAND,), min_length=1, description="a list of on-demand and spot"
    )
    zones: tuple[str, ...] = Field(default=(), description="zones of the nodes; any when empty")
    limits: Limits = Limits()
    consolidation: Consolidation = Field(
        default=Consolidation.EMPTY, description="empty (only nodes without pods) or underutilized (pods are moved)"
    )
    consolidate_after: Duration = "1m"
    expire_after: Duration | None = None
    node_class: NodeClass | None = Field(default=None, description="the EC2 side of nodes; needed with provider: ec2")


class NodePool(Section):
    """Nodes of one kind."""

    name: Name
    kind: Kind | None = Field(default=None, description="; ".join(f"{kind} ({text})" for kind, text in KINDS.items()))
    accelerator: Name | None = Field(
        default=None, description="the accelerator, such as nvidia-h100-80gb; null: nodes without one"
    )
    gpus: int = Field(default=0, ge=0, le=16, description="accelerators per node, 0 to 16")
    nodes: int | None = Field(
        default=None, ge=1, le=1000, description="number of nodes, 1 to 1000; of elastic the most"
    )
    # What pools said before there were kinds.
    simulated: bool = Field(default=False, description="true: the same as kind: simulated")
    external: bool = Field(default=False, description="true: the same as kind: external")
    price_per_hour: float | None = Field(
        default=None, ge=0, description="what one node costs per hour: a number, in the currency that all prices are in"
    )
    device_class: DeviceClass | None = None
    sharing: Sharing | None = Field(default=None, description="one of mig, timeSlicing and mps")
    labels: Mapping[LabelKey, LabelValue] = Field(default={}, description="more labels of the nodes, by key")
    taints: tuple[Taint, ...] = Field(default=(), description="more taints of the nodes")
    select: Select | None = Field(
        default=None, description="{names: […]} or {labels: {…}}: the nodes of an existing pool"
    )
    elastic: Elastic | None = Field(default=None, description="what Karpenter may make, of an elastic pool")

    @property
    def made_by(self) -> Kind:
        """Return the kind, also of a pool that says it by a flag; a rule has made sure that it says it once."""
        if self.kind is not None:
            return self.kind
        return Kind.SIMULATED if self.simulated else Kind.EXTERNAL

    @property
    def owned(self) -> bool:
        """Return whether this stack makes the nodes, or changes them: those that labels select are left as they are."""
        return self.made_by in (Kind.SIMULATED, Kind.EXISTING, Kind.ELASTIC) and not self.node_labels

    @property
    def node_labels(self) -> Mapping[str, str]:
        """Return the labels that the nodes are known by where they do not name the pool; empty where they do."""
        return {} if self.select is None or self.select.names else self.select.labels

    @property
    def count(self) -> int:
        """Return the number of nodes, the largest one of a pool whose number changes; a rule has made sure of it."""
        return len(self.select.names) if self.select and self.select.names else self.nodes or 0

    @property
    def price(self) -> float | None:
        """Return what a node costs per hour at most, None where it is not known."""
        if self.elastic is None:
            return self.price_per_hour
        prices = [each.price_per_hour for each in self.elastic.instance_types]
        return None if None in prices else max(price for price in prices if price is not None)


SECTION: SectionField[tuple[NodePool, ...]] = SectionField(
    NODE_POOLS, tuple[NodePool, ...], default=(), description="a list of node pools"
)


def pools(environment: Environment) -> tuple[NodePool, ...]:
    """Return the node pools of an environment."""
    return environment.section(SECTION)
