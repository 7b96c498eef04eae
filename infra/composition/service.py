"""What a service is: the one declaration that program, command and schema read (`SERVICE` in its module)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.composition.credentials import CredentialsPart
from infra.contract.environment import PLATFORM, Environment, PlatformImage, SectionField
from infra.contract.errors import StellwerkError
from infra.contract.problems import KeyPath, Problem
from infra.targets.target import Folder

if TYPE_CHECKING:
    from infra.composition.context import Composition
    from infra.composition.draft import Draft


class CompositionError(StellwerkError):
    """The services do not fit together."""


@dataclass(frozen=True)
class Certificate:
    """A server certificate: its key under `tls` in the credentials, the names of Services, their namespace."""

    key: str
    hosts: tuple[str, ...]
    purpose: str = PLATFORM


@dataclass(frozen=True)
class NodePort:
    """A port that a service takes on every node: the key that says so, and who listens there."""

    path: KeyPath
    port: int
    listener: str

    @property
    def key(self) -> str:
        """The key as messages name it."""
        return ".".join(str(step) for step in self.path)


@dataclass(frozen=True)
class Namespace:
    """A namespace of the environment by its purpose; `pulls`: its pods run images of the registry."""

    purpose: str
    pulls: bool = True


@dataclass(frozen=True)
class Build:
    """An image of this stack: its folder, the named contexts it copies from, the image before it that it builds on.

    `sources` are what of the checkout goes into it, its folder unless given: the last commit that touched it is its
    revision.
    """

    folder: str
    sources: tuple[str, ...] = ()
    contexts: Mapping[str, Callable[["Composition"], Path]] = field(default_factory=dict)
    base: str | None = None
    sets_times: bool = False


@dataclass(frozen=True)
class Service:
    """A capability of an environment.

    `runs` answers whether a stack runs it. Where it does, `compose` declares its resources, and certificates, ports,
    namespaces, folders of the target and images count; where it runs elsewhere, or not at all, `connect` hands on how
    to reach it. `needs` and `gives` are the types of what services hand to one another: the order follows from them.
    """

    name: str
    section: SectionField[Any] | None = None
    images: tuple[PlatformImage, ...] = ()
    needs: tuple[type, ...] = ()
    gives: tuple[type, ...] = ()
    runs: Callable[[Environment], bool] = lambda _: True
    # The key that makes a stack run it, as messages name it.
    switch: str = ""
    rules: Callable[["Stack"], Iterable[Problem]] = lambda _: ()
    # Types of its credentials by their key, whoever runs it.
    credentials: Callable[[Environment], Mapping[str, type[CredentialsPart]]] = lambda _: {}
    make_credentials: Callable[["Draft"], None] = lambda _: None
    certificates: tuple[Certificate, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    node_ports: Callable[[Environment], Iterable[NodePort]] = lambda _: ()
    folders: Callable[[Environment], Iterable[Folder]] = lambda _: ()
    builds: Callable[[Environment], Mapping[str, Build]] = lambda _: {}
    compose: Callable[["Composition"], None] = lambda _: None
    connect: Callable[["Composition"], None] = lambda _: None


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
        return [certificate for service in self.running() for certificate in service.certificates]

    def namespaces(self) -> list[Namespace]:
        """Return the namespaces that the services run in."""
        return [namespace for service in self.running() for namespace in service.namespaces]

    def node_ports(self) -> list[NodePort]:
        """Return the ports that the services take on the nodes, in the order of their keys."""
        ports = [port for service in self.running() for port in service.node_ports(self.environment)]
        return sorted(ports, key=lambda port: port.key)

    def folders(self) -> list[Folder]:
        """Return the folders that the services take from the target."""
        return [folder for service in self.running() for folder in service.folders(self.environment)]

    def builds(self) -> dict[str, Build]:
        """Return the images that the services are built as, by name; what another builds on comes first."""
        return {name: build for service in self.running() for name, build in service.builds(self.environment).items()}
