"""The section `registry` of an environment, and its rules."""

import re
from collections.abc import Iterator
from enum import StrEnum

from pydantic import Field

from infra.composition.service import Stack
from infra.contract.environment import Environment, Mode, RunBy, SectionField
from infra.contract.fields import ImageReference, Section
from infra.contract.problems import Problem, show

# What an address of a kind looks like, and what is said of one that does not.
_PROJECT = r"[a-z0-9.-]+(:[0-9]{1,5})?/.+"
_ADDRESSES = {
    "harbor": (_PROJECT, "host/project: Harbor has images in projects alone"),
    "gitlab": (_PROJECT, "host/group/project: GitLab has images in projects alone"),
    "ecr": (
        r"[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?(/.+)?",
        "<account>.dkr.ecr.<region>.amazonaws.com/<prefix>: the address of a registry in ECR",
    ),
}


class Kind(StrEnum):
    """What runs at the registry's address: whether it has projects, and how it is logged in to."""

    OCI = "oci"
    HARBOR = "harbor"
    GITLAB = "gitlab"
    ECR = "ecr"


class PodLogin(Section):
    """Who gets a login of ECR for pods every four hours, where nodes cannot log in by themselves."""

    role: str = Field(
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/\S+$",
        description="the ARN of a role of IAM that may read the registry: arn:aws:iam::111122223333:role/pull",
    )
    image: ImageReference = Field(
        description="an image with Python 3.11 or newer as python3, which nodes pull without a login"
    )


class RegistrySection(Section):
    """The image registry that workload images are pushed to and pulled from."""

    mode: RunBy
    kind: Kind = Field(default=Kind.OCI, description="oci (any registry), harbor, gitlab or ecr")
    address: str = Field(pattern=r"^[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9._/-]+)?$", description="host or host:port")
    pod_login: PodLogin | None = Field(
        default=None, description="{role, image}: Jobs keep a login of ECR for pods; null: nodes log in by themselves"
    )

    @property
    def port(self) -> int:
        """Return the port of the address, 0 where it names none."""
        port = self.address.rpartition(":")[2]
        return int(port) if port.isdigit() else 0


SECTION: SectionField[RegistrySection] = SectionField("registry", RegistrySection)


def section_of(environment: Environment) -> RegistrySection:
    """Return the values of the registry."""
    return environment.section(SECTION)


def rules(stack: Stack) -> Iterator[Problem]:
    """Yield what is wrong with kind, address and login."""
    section = section_of(stack.environment)
    if section.pod_login is not None and section.kind is not Kind.ECR:
        action = "set kind to ecr, or remove podLogin"
        yield Problem(("registry", "podLogin"), section.kind.value, "nothing, because kind is not ecr", action)
    if section.kind in _ADDRESSES:
        shape, allowed = _ADDRESSES[section.kind]
        if not re.fullmatch(shape, section.address):
            yield Problem(("registry", "address"), show(section.address), allowed, "correct the address, or the kind")
    if section.kind is not Kind.OCI and section.mode is Mode.EMBEDDED:
        action = "set mode to external, or remove kind"
        yield Problem(("registry", "kind"), section.kind.value, "oci, because mode is embedded", action)
    if section.mode is Mode.EMBEDDED and not 30000 <= section.port <= 32767:
        yield Problem(
            ("registry", "address"),
            show(section.address),
            "host:port with a node port of 30000 to 32767, because mode is embedded",
            "add a node port, or set mode to external",
        )
