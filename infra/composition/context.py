"""What a service composes with: values, credentials, target, and what the services before it have handed over."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from infra.composition.credentials import Credentials
from infra.composition.service import CompositionError, Service, Stack
from infra.contract.environment import Environment
from infra.contract.problems import ConfigError
from infra.contract.release import Release
from infra.targets.joined import JoinedCluster
from infra.targets.target import Target

if TYPE_CHECKING:
    import pulumi
    from pydantic import SecretStr

    from components.kit.access import KeyPairArgs

Value = TypeVar("Value")


@dataclass(frozen=True)
class Composition:
    """One environment while `service` is being composed; `joined` is the stack of its cluster, where one makes it."""

    stack: Stack
    releases: Mapping[tuple[str, str], Release]
    credentials: Credentials
    target: Target
    root: Path
    opts: "pulumi.ResourceOptions"
    service: Service
    joined: JoinedCluster | None = None
    _handed_over: dict[type, object] = field(default_factory=dict)

    def of(self, service: Service) -> "Composition":
        """Return the composition for another service, with what is handed over so far."""
        return replace(self, service=service)

    @property
    def environment(self) -> Environment:
        """Return the values."""
        return self.stack.environment

    @property
    def authority(self) -> str:
        """Return the certificate of the environment's authority, PEM; raise ConfigError before `stellwerk init` ran."""
        certificate = self.environment.ca_certificate
        if certificate is None:
            name = self.environment.environment
            raise ConfigError(f"stellwerk:caCertificate: absent; run `stellwerk init {name}`, which writes it")
        return certificate

    @property
    def tls(self) -> "KeyPairArgs":
        """Return the key pair of the service's own certificate."""
        (certificate,) = self.service.certificates
        pair = self.credentials.key_pairs[certificate.key]
        return {"certificate": pair.certificate, "key": secret(pair.key)}

    def get(self, kind: type[Value]) -> Value:
        """Return what another service has handed over; raise CompositionError where `needs` does not name it."""
        value = self._handed_over.get(kind)
        if kind not in self.service.needs or not isinstance(value, kind):
            raise CompositionError(
                f"the service {self.service.name} takes {kind.__name__}: "
                + ("no service has handed it over here" if kind in self.service.needs else "name it in `needs`")
            )
        return value

    def give(self, value: object) -> None:
        """Hand a value to the services that need its type; raise CompositionError where `gives` does not name it."""
        if type(value) not in self.service.gives:
            raise CompositionError(f"the service {self.service.name} gives {type(value).__name__}: name it in `gives`")
        self._handed_over[type(value)] = value

    def relative(self, folder: str | Path) -> str:
        """Return a folder as seen from the program's: the state then names no folder of this machine."""
        return os.path.relpath(self.root / folder, self.root / "infra")


def secret(value: "SecretStr") -> "pulumi.Output[str]":
    """Return the value as a Pulumi secret: encrypted in the state, hidden in previews."""
    import pulumi

    return pulumi.Output.secret(value.get_secret_value())
