"""The values of an environment: what `stacks/Pulumi.<env>.yaml` may say under `config:`.

Every description is also the text an error shows as allowed, and the help an editor shows from the JSON Schema.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from infra.contract.fields import Cpu, ImageReference, Memory, Name, NodePort, ReleaseId, Section


class EnvironmentName(StrEnum):
    """The three environments of the domain model."""

    DEV = "dev"
    TEST = "test"
    PROD = "prod"


class Mode(StrEnum):
    """Who runs a service: this stack, or somebody else."""

    EMBEDDED = "embedded"
    EXTERNAL = "external"


_Mode = Annotated[Mode, Field(description="embedded (this stack runs it) or external (it runs elsewhere)")]


class Cluster(Section):
    """The cluster the stack is applied to."""

    context: str = Field(min_length=1, description="the name of a context in the kubeconfig")
    address: str = Field(pattern=r"^[A-Za-z0-9.-]+$", description="IP address or host name under which nodes answer")
    shared: bool = Field(description="true: another stack owns the cluster-wide services; false: this stack does")


class BasePython(Section):
    """The Python base of the workload images: built from the local root file system, or pulled."""

    build: bool = Field(default=False, description="true: built from the local root file system")
    image: ImageReference | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.build == (self.image is not None):
            raise ValueError("exactly one of `build: true` and `image: <reference>`")
        return self


class Images(Section):
    """Platform images by reference, and the base of the workload images this stack builds."""

    busybox: ImageReference
    registry: ImageReference
    traefik: ImageReference
    versitygw: ImageReference
    kserve_manager: ImageReference
    log_shipper: ImageReference
    base_python: BasePython | None = Field(
        default=None, description="{build: true} or {image: <reference>}; null: this stack builds no images"
    )


class Quota(Section):
    """What the namespaces of the environment may use, each."""

    cpu: Cpu
    memory: Memory
    pods: int = Field(ge=1, description="number of pods, at least 1")
    storage: Memory


class Roles(Section):
    """Groups of the cluster's identity provider by role."""

    developers: tuple[str, ...] = Field(description="a list of group names")
    operators: tuple[str, ...] = Field(description="a list of group names")


class NodePool(Section):
    """Nodes of one kind: simulated by this stack, or run by somebody else."""

    name: Name
    accelerator: Name = Field(description="the accelerator as a node label value, such as nvidia-h100")
    gpus: int = Field(ge=1, le=16, description="accelerators per node, 1 to 16")
    nodes: int = Field(ge=1, le=1000, description="number of nodes, 1 to 1000")
    simulated: bool = Field(default=False, description="true: nodes without hardware, for scheduling and previews")
    external: bool = Field(default=False, description="true: the nodes exist and are run by the cluster's owner")


class Registry(Section):
    """The image registry that workload images are pushed to and pulled from."""

    mode: _Mode
    address: str = Field(pattern=r"^[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9._/-]+)?$", description="host or host:port")


class ObjectStore(Section):
    """The S3 store of model artefacts."""

    mode: _Mode
    bucket: Name
    node_port: NodePort | None = None
    endpoint: str | None = Field(default=None, pattern=r"^https://[^/]+$", description="an https URL without a path")


class Tracking(Section):
    """MLflow."""

    enabled: bool = Field(description="true or false")


class Resources(Section):
    """Requests and limits of one container."""

    cpu: Cpu
    memory: Memory


class Training(Section):
    """The training pipeline of one model."""

    resources: Resources
    node_pool: Name | None = None


class Logging(Section):
    """The log store and the shipper on every node."""

    mode: _Mode
    node_port: NodePort | None = None
    pod_logs_path: str | None = Field(
        default=None, pattern=r"^/", description="the absolute folder of pod logs on the nodes"
    )
    heap: str | None = Field(
        default=None, pattern=r"^[1-9][0-9]*[mg]$", description="the log store's Java heap: 512m or 2g"
    )


class GatewayLimits(Section):
    """What each pod of the gateway lets through."""

    max_body_bytes: int = Field(
        default=16 * 1024**2, ge=1024, le=1024**3, description="bytes of a request's body, 1024 to 1073741824"
    )
    in_flight: int = Field(default=64, ge=1, le=10000, description="requests of a model at a time, 1 to 10000")
    requests_per_second: int = Field(
        default=500, ge=1, le=100000, description="requests of a client address to a model per second, 1 to 100000"
    )


class Gateway(Section):
    """The HTTPS entry of the environment."""

    node_port: NodePort
    replicas: int = Field(default=2, ge=1, le=10, description="number of pods, 1 to 10")
    limits: GatewayLimits = GatewayLimits()


class Model(Section):
    """A served model: pointers to immutable releases, and how it is served."""

    release: ReleaseId | None = Field(description="a release id such as v2-3f2a9c1d, or null while there is none")
    previous: ReleaseId | None = Field(default=None, description="the release id to roll back to, or null")
    canary: None = Field(default=None, description="null")
    replicas: int = Field(default=1, ge=1, le=100, description="number of pods, 1 to 100")
    # Small: most models wait most of the time.
    resources: Resources = Resources(cpu="50m", memory="512Mi")
    node_pool: Name | None = None


class Environment(Section):
    """All values of one environment."""

    environment: EnvironmentName = Field(description="dev, test or prod")
    cluster: Cluster
    images: Images
    quota: Quota
    roles: Roles
    node_pools: tuple[NodePool, ...] = Field(default=(), description="a list of node pools")
    registry: Registry
    object_store: ObjectStore
    tracking: Tracking = Tracking(enabled=False)
    training: dict[Name, Training] = Field(default_factory=dict, description="training pipelines by model name")
    logging: Logging
    gateway: Gateway
    models: dict[Name, Model] = Field(description="served models by name")
    ca_certificate: str | None = Field(
        default=None, pattern=r"^-----BEGIN CERTIFICATE-----", description="PEM, written by `stellwerk init`"
    )
