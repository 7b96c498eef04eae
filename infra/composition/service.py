"""What a service is: the one declaration that program, command and schema read (`SERVICE` in its module)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.composition.credentials import CredentialsPart
from infra.composition.kinds import KindNeed
from infra.contract.environment import PLATFORM, Environment, PlatformImage, SectionField
from infra.contract.errors import StellwerkError
from infra.contract.evidence import EvidenceFolder
from infra.contract.model import Models
from infra.contract.problems import KeyPath, Problem
from infra.contract.release import Release
from infra.contract.testset import TestSets
from infra.targets.target import Folder

if TYPE_CHECKING:
    from infra.composition.context import Composition
    from infra.composition.draft import Draft
    from infra.composition.logins import PageLogin


class CompositionError(StellwerkError):
    """The services do not fit together."""


@dataclass(frozen=True)
class Certificate:
    """A server certificate: its key under `tls` in the credentials, the names of Services, their namespace.

    `outside` are the names by which clients outside the cluster know the server; `needed` answers whether one
    that runs the service needs the certificate.
    """

    key: str
    hosts: tuple[str, ...]
    purpose: str = PLATFORM
    outside: Callable[[Environment], Iterable[str]] = lambda environment: (environment.cluster.address,)
    needed: Callable[[Environment], bool] = lambda _: True


@dataclass(frozen=True)
class NodePort:
    """A port that a service takes on every node: the key that says so, and who listens there."""

    path: KeyPath
    port: int
    listener: str

    @property
    def key(self) -> str:
        """Return the key as messages name it."""
        return ".".join(str(step) for step in self.path)


@dataclass(frozen=True)
class Page:
    """A page for people, which the environment's own gateway shows: its path there, and its URL inside the cluster.

    `name` is whom it lets in, too, with the password of the credentials of type `login`.
    """

    name: str
    path: str
    url: str
    login: type["PageLogin"]


@dataclass(frozen=True)
class Placement:
    """Pods that are to run on the nodes of a pool: the key that says so, and the pool's name, None for any node.

    `gpu` is what each of them gets, None where nothing is said; `pods` how many there are at most at a time.
    """

    path: KeyPath
    pool: str | None
    gpu: int | str | None = None
    pods: int = 1


@dataclass(frozen=True)
class Ask:
    """Pods of a service in the namespace of the platform: the key that sizes them, how many, and each one's size."""

    path: KeyPath
    pods: int
    cpu: str
    memory: str


@dataclass(frozen=True)
class Pointer:
    """A key that points to a release of a model."""

    path: KeyPath
    model: str
    release: str


@dataclass(frozen=True)
class Switch:
    """The key that makes a stack run a service: the value that does, and the one that does not."""

    path: KeyPath
    on: str
    off: str

    @property
    def key(self) -> str:
        """Return the key as messages name it."""
        return ".".join(str(step) for step in self.path)


@dataclass(frozen=True)
class Documents:
    """The documents beside the environments that rules need: the releases it points to, and those about models."""

    releases: Mapping[tuple[str, str], Release]
    models: Models
    test_sets: TestSets
    evidence: EvidenceFolder


# Gives the values of every environment of the checkout by its name, as they stand in the files: rules that need none
# of the others read none.
EveryValues = Callable[[], Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Namespace:
    """A namespace of the environment by its purpose; `pulls`: its pods run images of the registry."""

    purpose: str
    pulls: bool = True


@dataclass(frozen=True)
class Build:
    """An image of this stack: its folder, and the named contexts it copies from.

    `parent` is the name of another image of this stack that it is built on, its Dockerfile's argument PARENT_IMAGE.
    `sources` are what of the checkout goes into it, its folder unless given: the last commit that touched it is its
    revision, and of the folder they choose what the build gets. `installs`: its Dockerfile installs Python packages,
    with the uv that the argument UV names. `hooks` is the digest of a model's code that runs where it is served,
    which its Dockerfile gets as the argument HOOKS.
    """

    folder: str
    parent: str | None = None
    sources: tuple[str, ...] = ()
    contexts: Mapping[str, Callable[["Composition"], Path]] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    sets_times: bool = False
    installs: bool = False
    hooks: str | None = None


@dataclass(frozen=True)
class Service:
    """A capability of an environment.

    `runs` answers whether a stack runs it. Where it does, `compose` declares its resources, and certificates, ports,
    namespaces, placements, folders of the target and images count; where it runs elsewhere, or not at all, `connect`
    hands on how to reach it; without `connect`, or where it does not run `elsewhere`, nobody can reach it there.
    `needs` and `gives` are the types of what services hand to one another: the order follows from them.

    `rules` need the values alone. The releases that `pointers` name are loaded after them, for `document_rules`.
    """

    name: str
    section: SectionField[Any] | None = None
    images: tuple[PlatformImage, ...] = ()
    needs: tuple[type, ...] = ()
    gives: tuple[type, ...] = ()
    runs: Callable[[Environment], bool] = lambda _: True
    switch: Switch | None = None
    rules: Callable[["Stack"], Iterable[Problem]] = lambda _: ()
    # What does not go together with values of the checkout's other environments.
    rules_beside: Callable[[Environment, EveryValues], Iterable[Problem]] = lambda *_: ()
    pointers: Callable[[Environment], Iterable[Pointer]] = lambda _: ()
    document_rules: Callable[[Environment, Documents], Iterable[Problem]] = lambda *_: ()
    # Types of its credentials by their key, whoever runs it.
    credentials: Callable[[Environment], Mapping[str, type[CredentialsPart]]] = lambda _: {}
    make_credentials: Callable[["Draft"], None] = lambda _: None
    certificates: tuple[Certificate, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    placements: Callable[[Environment], Iterable[Placement]] = lambda _: ()
    # What it asks of the platform's quota, as far as values size it.
    asks: Callable[[Environment], Iterable[Ask]] = lambda _: ()
    node_ports: Callable[[Environment], Iterable[NodePort]] = lambda _: ()
    pages: Callable[[Environment], Iterable[Page]] = lambda _: ()
    folders: Callable[[Environment], Iterable[Folder]] = lambda _: ()
    # What of the cluster's API it stands on and neither Kubernetes nor this stack brings.
    kinds: Callable[[Environment], Iterable[KindNeed]] = lambda _: ()
    # None where it never builds any; a parent comes before what is built on it.
    builds: Callable[[Environment, Models], Mapping[str, Build]] | None = None
    # Whether it builds any where it runs.
    builds_in: Callable[[Environment], bool] = lambda _: True
    compose: Callable[["Composition"], None] = lambda _: None
    connect: Callable[["Composition"], None] | None = None
    # Whether there is anything to connect to where this stack does not run it.
    elsewhere: Callable[[Environment], bool] = lambda _: True


@dataclass(frozen=True)
class Stack:
    """An environment and all services: what the running ones want together."""

    environment: Environment
    services: Sequence[Service]

    def running(self) -> Iterator[Service]:
        """Yield each service that this stack runs."""
        return (service for service in self.services if service.runs(self.environment))

    def certificates(self) -> list[Certificate]:
        """Return the server certificates that the services need."""
        every = [certificate for service in self.running() for certificate in service.certificates]
        return [certificate for certificate in every if certificate.needed(self.environment)]

    def namespaces(self) -> list[Namespace]:
        """Return the namespaces that the services run in."""
        return [namespace for service in self.running() for namespace in service.namespaces]

    def pointers(self) -> list[Pointer]:
        """Return the keys of the services that point to releases."""
        return [pointer for service in self.services for pointer in service.pointers(self.environment)]

    def placements(self) -> list[Placement]:
        """Return which pods of the services are to run on which node pools."""
        return [placement for service in self.running() for placement in service.placements(self.environment)]

    def asks(self) -> list[Ask]:
        """Return what the services ask of the quota of the platform's namespace."""
        return [ask for service in self.running() for ask in service.asks(self.environment)]

    def node_ports(self) -> list[NodePort]:
        """Return the ports that the services take on the nodes, in the order of their keys."""
        ports = [port for service in self.running() for port in service.node_ports(self.environment)]
        return sorted(ports, key=lambda port: port.key)

    def pages(self) -> list[Page]:
        """Return the services' pages for people."""
        return [page for service in self.running() for page in service.pages(self.environment)]

    def folders(self) -> list[Folder]:
        """Return the folders that the services take from the target."""
        return [folder for service in self.running() for folder in service.folders(self.environment)]

    def kinds(self) -> list[KindNeed]:
        """Return what of the cluster's API the services stand on and somebody else brings."""
        return [need for service in self.running() for need in service.kinds(self.environment)]

    def builds(self, models: Models) -> dict[str, Build]:
        """Return the images that the services are built as, by name."""
        given = [service.builds(self.environment, models) for service in self.builders() if service.builds]
        return {name: build for builds in given for name, build in builds.items()}

    def builders(self) -> list[Service]:
        """Return the services of this stack that are built as images."""
        return [service for service in self.running() if service.builds and service.builds_in(self.environment)]
