"""`stellwerk init`: make an environment's stack, its certificate authority and its credentials, once."""

import json
from functools import partial
from typing import Any

from rich.console import Console

from delivery import stackfile
from delivery.clients.engine import KEY
from delivery.operations import authority
from delivery.operations.new_environment import Wanted, provide_file
from delivery.session import Session
from infra.composition.draft import Draft, Neighbours
from infra.composition.service import Stack
from infra.services import registry
from infra.targets.target import Target
from infra.values import file_name


def init(session: Session, environment: str, console: Console, wanted: Wanted | None = None) -> None:
    """Make what is absent, change nothing that is there; what is `wanted` is written of an environment that is new.

    Raise StellwerkError; credentials are written in one step, at the end.
    """
    project, engine = session.project, session.engine
    if provide_file(project, environment, wanted or Wanted()):
        console.print(f"{environment}: wrote {file_name(environment)}; commit it", highlight=False)
    stack = project.stack(environment)
    _make_stack(session, environment, console)
    draft = Draft(stack.environment, _existing(session, environment), _neighbours(session, environment, console))
    certificate = _authority(draft)
    for service in project.services.ordered:
        service.make_credentials(draft)
    _certificates(draft, stack, certificate)
    if draft.changed:
        text = json.dumps(draft.values, sort_keys=True)
        if stack.environment.ca_certificate != certificate:
            values = {"caCertificate": certificate}
            project.write(environment, stackfile.add(project.text(environment), file_name(environment), values))
        engine.run("config", "set", KEY, "--secret", "--stack", environment, stdin=text)
        console.print(f"{environment}: wrote encrypted credentials to {file_name(environment)}", highlight=False)
    else:
        console.print(f"{environment}: credentials are complete", highlight=False)
    if registry.runs(stack.environment):
        Target(session.variables).trust_registry(stack.environment.cluster.context, certificate)


def _make_stack(session: Session, environment: str, console: Console) -> None:
    project, engine = session.project, session.engine
    if environment in engine.stacks():
        return
    # Credentials of a stack that is gone: its passphrase may be, too, and nothing is deployed with them.
    text = stackfile.without_secrets(project.text(environment), file_name(environment))
    if text != project.text(environment):
        project.write(environment, text)
        console.print(
            f"{environment}: the credentials in {file_name(environment)} are of a stack that is not in this backend; "
            "making new ones",
            highlight=False,
        )
    provider = project.environment(environment).secrets_provider
    key = [] if provider is None else ["--secrets-provider", provider]
    engine.run("stack", "init", environment, "--no-select", *key)
    console.print(f"{environment}: made the stack", highlight=False)


def _existing(session: Session, environment: str) -> dict[str, Any]:
    # The engine writes credentials into the file by itself.
    session.project.reload(environment)
    config = stackfile.config(session.project.text(environment), file_name(environment))
    return session.engine.credentials(environment) if KEY in config else {}


def _neighbours(session: Session, environment: str, console: Console) -> Neighbours:
    """Return the other environments of this project, read when a service asks for them."""
    project = session.project

    def complete(owner: str) -> dict[str, Any]:
        init(session, owner, console)
        update = f"`pulumi up --stack {owner}` makes it known there"
        console.print(f"{owner}: has a login for {environment} now; {update}", highlight=False)
        return _existing(session, owner)

    return Neighbours(
        project.environments,
        lambda: {name: project.environment(name) for name in project.environments},
        partial(_existing, session),
        complete,
    )


def _authority(draft: Draft) -> str:
    """Return the CA's certificate; a new one replaces every certificate that the old one signed."""
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
    """Make each certificate that the services need; one that does not cover its names is made again."""
    key = draft.values["caKey"]
    for wanted in stack.certificates():
        namespace = stack.environment.namespace(wanted.purpose)
        suffixes = (f".{namespace}.svc", "", f".{namespace}.svc.cluster.local")
        # A changed address of the cluster needs another certificate.
        names = [f"{host}{suffix}" for host in wanted.hosts for suffix in suffixes]
        names += wanted.outside(stack.environment)
        present = draft.values.get("tls", {}).get(wanted.key)
        if present and not authority.covers(present["certificate"], names):
            del draft.values["tls"][wanted.key]
        draft.need("tls", wanted.key, make=partial(authority.sign, authority_certificate, key, names))
