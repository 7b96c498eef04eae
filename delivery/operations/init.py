"""`stellwerk init`: makes an environment's stack, its certificate authority and its credentials, once."""

import json
from functools import partial
from typing import Any

from rich.console import Console

from delivery import stackfile
from delivery.clients import engine
from delivery.operations import authority
from infra.composition.draft import Draft, Neighbours
from infra.composition.service import Stack
from infra.discovery import Services, known
from infra.services import registry
from infra.targets.target import Target
from infra.values import ENVIRONMENTS, file_name, from_file


def init(environment: str, console: Console, services: Services | None = None) -> None:
    """Make what is absent, change nothing that is there.

    Raise StellwerkError; the stack file is written in one step, at the end.
    """
    services = services or known()
    stack = from_file(environment, services=services).stack
    _make_stack(environment, console)
    draft = Draft(stack.environment, _existing(environment), _neighbours(services))
    certificate = _authority(draft)
    for service in services.ordered:
        service.make_credentials(draft)
    _certificates(draft, stack, certificate)
    if draft.changed:
        text = json.dumps(draft.values, sort_keys=True)
        if stack.environment.ca_certificate != certificate:
            stackfile.add(environment, {"caCertificate": certificate})
        engine.run("config", "set", engine.KEY, "--secret", "--stack", environment, stdin=text)
        console.print(f"{environment}: wrote encrypted credentials to {file_name(environment)}", highlight=False)
    else:
        console.print(f"{environment}: credentials are complete", highlight=False)
    if registry.runs(stack.environment):
        Target(engine.surroundings()).trust_registry(stack.environment.cluster.context, certificate)


def _make_stack(environment: str, console: Console) -> None:
    if environment in engine.stacks():
        return
    # Credentials of a stack that is gone: its passphrase may be, too, and nothing is deployed with them.
    if stackfile.forget_secrets(environment):
        console.print(
            f"{environment}: the credentials in {file_name(environment)} are of a stack that is not in this backend; "
            "making new ones",
            highlight=False,
        )
    engine.run("stack", "init", environment, "--no-select")
    console.print(f"{environment}: made the stack", highlight=False)


def _existing(environment: str) -> dict[str, Any]:
    config = stackfile.config(environment)
    return engine.credentials(environment) if engine.KEY in config else {}


def _neighbours(services: Services) -> Neighbours:
    """The other environments of this project, read when a service asks for them."""
    return Neighbours(
        lambda: {name: from_file(name, services=services).environment for name in ENVIRONMENTS}, _existing
    )


def _authority(draft: Draft) -> str:
    """The CA's certificate; a new one replaces every certificate that the old one signed."""
    certificate = draft.environment.ca_certificate
    # They are written one after the other: an interruption between the two leaves two halves of different pairs.
    if certificate and "caKey" in draft.values and authority.belong_together(certificate, draft.values["caKey"]):
        return certificate
    certificate, key = authority.make_authority(draft.name)
    draft.values["caKey"] = key
    draft.values.pop("tls", None)
    draft.changed = True
    return certificate


def _certificates(draft: Draft, stack: Stack, authority_certificate: str) -> None:
    """A certificate for each that the services need; one that does not cover its names is made again."""
    key = draft.values["caKey"]
    for wanted in stack.certificates():
        namespace = stack.environment.namespace(wanted.purpose)
        suffixes = (f".{namespace}.svc", "", f".{namespace}.svc.cluster.local")
        # A changed address of the cluster needs another certificate.
        names = [f"{host}{suffix}" for host in wanted.hosts for suffix in suffixes]
        names.append(stack.environment.cluster.address)
        present = draft.values.get("tls", {}).get(wanted.key)
        if present and not authority.covers(present["certificate"], names):
            del draft.values["tls"][wanted.key]
        draft.need("tls", wanted.key, make=partial(authority.sign, authority_certificate, key, names))
