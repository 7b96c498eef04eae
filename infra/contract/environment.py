"""The environment document: what `stacks/Pulumi.<env>.yaml`, on top of `stacks/base.yaml`, may say under `config:`.

Here stands what every environment has. Each service adds a section of its own (`infra/services/<capability>`), and
`document` makes one type of all of them. Every description is also the text an error shows as allowed, and the help an
editor shows from the JSON Schema.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import Field, create_model, model_validator

from infra.contract.autoscaler import Autoscaler
from infra.contract.fields import Cpu, Digest, EnvironmentName, ImageReference, Memory, Section, TeamName
from infra.contract.forge import ForgeValues
from infra.contract.links import Links
from infra.contract.priorities import Priority
from infra.contract.responsibilities import Responsibilities
from infra.contract.sizes import DEFAULTS, Defaults, Size
from infra.contract.versions import platform_image, version

# Purposes of namespaces: `<environment>-<purpose>`.
PLATFORM, TRAINING, SERVING = "platform", "training", "serving"
# Of the controller whose rights reach across namespaces: no role has any there.
KSERVE = "kserve"
# What differs between any two environments, with the reason; ports and pointers the services know.
OWN = {
    "environment": "each has a name of its own",
    "releasesFrom": "it is the place in the order of promotion",
    "caCertificate": "each has an authority of its own",
}

Value = TypeVar("Value")


class Mode(StrEnum):
    """Who runs a service: this stack, or somebody else."""

    EMBEDDED = "embedded"
    EXTERNAL = "external"


RunBy = Annotated[Mode, Field(description="embedded (this stack runs it) or external (it runs elsewhere)")]


@dataclass(frozen=True)
class PlatformImage:
    """An image that a service takes as it is, by its name in `infra/versions.toml`."""

    name: str

    @property
    def field(self) -> str:
        """Return the field of `images` that names another one."""
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class SectionField(Generic[Value]):
    """A key of the document: its name in snake_case, its type, and its default where it may be absent."""

    name: str
    kind: Any
    default: Value | None = None
    description: str | None = None

    def field(self) -> Any:
        """Return the annotation and the field, as pydantic takes them."""
        default = ... if self.default is None else self.default
        return self.kind, Field(default, description=self.description)


class Cluster(Section):
    """The cluster the stack is applied to."""

    context: str = Field(min_length=1, description="the name of a context in the kubeconfig")
    address: str = Field(pattern=r"^[A-Za-z0-9.-]+$", description="IP address or host name under which nodes answer")
    shared: bool = Field(description="true: another stack owns the cluster-wide services; false: this stack does")
    own_runtime: bool = Field(
        default=False,
        description="true: KServe is somebody else's, and this stack has the runtime of its models itself",
    )
    storage_class: str | None = Field(
        default=None, min_length=1, description="the storage class of all claims; null: the cluster's default"
    )
    trainer: bool = Field(
        default=False,
        description="true: Kubeflow Trainer runs there; workers of a training are a TrainJob",
    )
    stack: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+/[a-z][a-z0-9-]*$",
        description="the stack that makes the cluster: organization/project/name; null: the kubeconfig says all",
    )


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
    """Platform images by reference, each optional, and the base of the workload images this stack builds."""

    base_python: BasePython | None = Field(
        default=None, description="{build: true} or {image: <reference>}; null: this stack builds no images"
    )
    serving_cuda: bool = Field(
        default=False, description="true: the serving image computes with CUDA where a model has a GPU; 2 GB more"
    )
    mirror: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*$",
        description="host or host/path that all platform images come from; null: the local node has them",
    )
    digests: dict[str, Digest] = Field(
        default_factory=dict, description="what the mirror has: name:version of a platform image, and its digest"
    )

    def names(self, image: PlatformImage) -> bool:
        """Return whether the values name this one image."""
        return getattr(self, image.field) is not None

    def mirrored(self, name: str) -> str | None:
        """Return the reference of a platform image in the mirror; None where there is no mirror.

        It is by digest wherever the values are valid: a version without a digest is refused.
        """
        if self.mirror is None:
            return None
        digest = self.digests.get(f"{name}:{version(name)}")
        return f"{self.mirror}/{name}@{digest}" if digest else f"{self.mirror}/{name}:{version(name)}"


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


class Resources(Section):
    """Requests and limits of one container."""

    cpu: Cpu
    memory: Memory


class Environment(Section):
    """All values of one environment."""

    environment: EnvironmentName
    releases_from: EnvironmentName | None = Field(
        default=None, description="the environment that accepts a release before this one; null: releases enter here"
    )
    team: TeamName | None = None
    cluster: Cluster
    size: Size = Field(
        default=Size.SMALL, description="small, medium or large: what services and models ask for by default"
    )
    priority: Priority = Priority()
    autoscaler: Autoscaler = Autoscaler()
    images: Images = Images()
    quota: Quota
    roles: Roles
    responsibilities: Responsibilities = Responsibilities()
    links: Links = Links()
    ca_certificate: str | None = Field(
        default=None, pattern=r"^-----BEGIN CERTIFICATE-----", description="PEM, written by `stellwerk init`"
    )

    forge: ForgeValues | None = None
    secrets_provider: str | None = Field(
        default=None,
        pattern=r"^(awskms|azurekeyvault|gcpkms|hashivault)://\S+$",
        description="the key that encrypts the stack's secrets: awskms://alias/stellwerk?region=eu-central-1; null: a "
        "passphrase",
    )

    def section(self, field: SectionField[Value]) -> Value:
        """Return the values of a service's section."""
        value: Value = getattr(self, field.name)
        return value

    def image(self, image: PlatformImage) -> str:
        """Return the reference of a platform image: the one that is named, else the mirror's, else the local node's."""
        given: str | None = getattr(self.images, image.field)
        return given or self.images.mirrored(image.name) or platform_image(image.name)

    @property
    def defaults(self) -> Defaults:
        """Return what services and models of an environment of this size ask for."""
        return DEFAULTS[self.size]

    @property
    def scope(self) -> str:
        """Return what the environment is called on its cluster, where other teams have environments, too."""
        return scope(self.environment, self.team)

    def namespace(self, purpose: str) -> str:
        """Return the name of the environment's namespace for a purpose."""
        return f"{self.scope}-{purpose}"

    def shared_name(self, name: str) -> str:
        """Return what a service that several teams may share calls something of this team's."""
        return f"{self.team}-{name}" if self.team else name


def scope(environment: str, team: str | None) -> str:
    """Return what an environment of a team is called on its cluster."""
    named = team is None or f"{environment}-".startswith(f"{team}-")
    return environment if named else f"{team}-{environment}"


def document(sections: Iterable[SectionField[Any]], images: Iterable[PlatformImage]) -> type[Environment]:
    """Return the type of the whole document: what every environment has, with these sections and images."""
    references: dict[str, Any] = {image.field: (ImageReference | None, None) for image in images}
    known = create_model("Images", __base__=Images, __doc__=Images.__doc__, **references)
    fields: dict[str, Any] = {section.name: section.field() for section in sections}
    return create_model(
        "Environment", __base__=Environment, __doc__=Environment.__doc__, images=(known, known()), **fields
    )
