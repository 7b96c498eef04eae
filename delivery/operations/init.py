"""`stellwerk init`: makes an environment's stack, its certificate authority and its credentials, once."""

import json
import os
import secrets
from dataclasses import dataclass
from typing import Any

import bcrypt
from rich.console import Console

from components.kit.names import KSERVE_WEBHOOK, LOG_STORE
from delivery import stackfile
from delivery.clients import engine
from delivery.errors import DeliveryError
from delivery.operations import authority
from infra.contract.environment import Environment, Mode
from infra.local.cluster.layout import layout
from infra.local.cluster.pki import CONTEXT
from infra.values import ENVIRONMENTS, KSERVE, PLATFORM, file_name, from_file

_USERS = ("shipper", "reader", "elastic")
_BUILDER = "builder"
# The passwords are random and long: more rounds would only slow each request down.
_ROUNDS = 5


@dataclass
class _Plan:
    """The credentials of one environment, filled in where something is absent."""

    environment: Environment
    values: dict[str, Any]
    changed: bool = False

    def need(self, *path: str, make: Any) -> None:
        """Sets the value at `path` to what `make()` returns, unless it is there."""
        node = self.values
        for step in path[:-1]:
            node = node.setdefault(step, {})
        if path[-1] not in node:
            node[path[-1]] = make()
            self.changed = True


def init(environment: str, console: Console) -> None:
    """Idempotent: makes what is absent, changes nothing that is there.

    Raises DeliveryError or ConfigError; the stack file is written in one step, at the end.
    """
    loaded = from_file(environment).environment
    if environment not in engine.stacks():
        # Credentials of a stack that is gone: its passphrase may be, too, and nothing is deployed with them.
        if stackfile.forget_secrets(environment):
            console.print(f"{environment}: the credentials in {file_name(environment)} are of a stack that is not in "
                          "this backend; making new ones", highlight=False)  # fmt: skip
        engine.run("stack", "init", environment, "--no-select")
        console.print(f"{environment}: made the stack", highlight=False)
    plan = _Plan(loaded, _existing(environment))
    certificate = _authority(plan)
    _secrets(plan)
    _certificates(plan, certificate)
    if plan.changed:
        text = json.dumps(plan.values, sort_keys=True)
        if loaded.ca_certificate != certificate:
            stackfile.add(environment, {"caCertificate": certificate})
        engine.run("config", "set", engine.KEY, "--secret", "--stack", environment, stdin=text)
        console.print(f"{environment}: wrote encrypted credentials to {file_name(environment)}", highlight=False)
    else:
        console.print(f"{environment}: credentials are complete", highlight=False)
    if loaded.registry.mode is Mode.EMBEDDED and loaded.cluster.context == CONTEXT:
        _trust(certificate)


def _existing(environment: str) -> dict[str, Any]:
    config = stackfile.config(environment)
    return engine.credentials(environment) if engine.KEY in config else {}


def _authority(plan: _Plan) -> str:
    """The CA's certificate; a new one replaces every certificate that the old one signed."""
    known = plan.environment.ca_certificate
    # They are written one after the other: an interruption between the two leaves two halves of different pairs.
    if known and "caKey" in plan.values and authority.belong_together(known, plan.values["caKey"]):
        return known
    certificate, key = authority.make_authority(plan.environment.environment)
    plan.values["caKey"] = key
    plan.values.pop("tls", None)
    plan.changed = True
    return certificate


def _secrets(plan: _Plan) -> None:
    values = plan.environment
    if values.object_store.mode is Mode.EMBEDDED:
        plan.need("objectStore", "accessKey", make=lambda: secrets.token_hex(10))
        plan.need("objectStore", "secretKey", make=_password)
        plan.need("objectStore", "reader", "accessKey", make=lambda: secrets.token_hex(10))
        plan.need("objectStore", "reader", "secretKey", make=_password)
    else:
        plan.need("objectStore", "accessKey", make=lambda: _given("AWS_ACCESS_KEY_ID", "the external object store"))
        plan.need("objectStore", "secretKey", make=lambda: _given("AWS_SECRET_ACCESS_KEY", "the external object store"))
        # A store may have one login for all.
        reader = ("AWS_READER_ACCESS_KEY_ID", "AWS_READER_SECRET_ACCESS_KEY")
        if any(os.environ.get(variable) for variable in reader):
            for key, variable in zip(("accessKey", "secretKey"), reader, strict=True):
                service = "those who only read the external object store"
                plan.need("objectStore", "reader", key, make=lambda name=variable, of=service: _given(name, of))
    if values.tracking.enabled:
        plan.need("tracking", "postgresPassword", make=_password)
    if values.logging.mode is Mode.EMBEDDED:
        for user in _USERS:
            plan.need("logStore", "users", user, make=_user)
    if values.registry.mode is Mode.EMBEDDED:
        _registry_logins(plan)
    else:
        _registry_login(plan)


def _registry_logins(plan: _Plan) -> None:
    """A login per environment, which pulls, and the builder's, which pushes: a leaked one can be changed alone."""
    plan.need("registry", "logins", make=lambda: {name: _password() for name in ENVIRONMENTS})
    registry = plan.values["registry"]
    own = plan.environment.environment.value
    plan.need("registry", "username", make=lambda: own)
    plan.need("registry", "password", make=lambda: registry["logins"][own])
    plan.need("registry", "htpasswd", make=lambda: _htpasswd(registry["logins"]))
    plan.need("registry", "push", make=_push_login)


def _push_login() -> dict[str, str]:
    password = _password()
    return {"username": _BUILDER, "password": password, "htpasswd": _htpasswd({_BUILDER: password})}


def _htpasswd(logins: dict[str, str]) -> str:
    return "".join(f"{name}:{_hash(password)}\n" for name, password in sorted(logins.items()))


def _registry_login(plan: _Plan) -> None:
    """The logins another environment of this project has made for this one, else those given by variables."""
    values = plan.environment
    name, owner = values.environment.value, _registry_owner(values)
    if owner is None:
        plan.need("registry", make=lambda: _given_logins(f"the registry {values.registry.address}"))
        return
    plan.need("registry", "username", make=lambda: name)
    plan.need("registry", "password", make=lambda: _made(name, owner)["logins"][name])
    if values.images.base_python:
        plan.need("registry", "push", make=lambda: _made(name, owner)["push"])


def _registry_owner(values: Environment) -> str | None:
    """The environment of this project that runs the registry at that address."""
    for other in ENVIRONMENTS:
        owner = from_file(other).environment.registry
        if owner.mode is Mode.EMBEDDED and owner.address == values.registry.address:
            return other
    return None


def _made(name: str, owner: str) -> dict[str, Any]:
    """What the registry's owner has made; raises DeliveryError where that is nothing, or not all."""
    made = engine.credentials(owner)["registry"] if engine.KEY in stackfile.config(owner) else {}
    if "push" not in made:
        raise DeliveryError(f"{name}: its registry is {owner}'s; run `stellwerk init {owner}` first")
    return made


def _given_logins(service: str) -> dict[str, Any]:
    """Without a second pair an environment that builds images pushes with the login that it pulls with."""
    pull: dict[str, Any] = _pair("STELLWERK_REGISTRY", service)
    if os.environ.get("STELLWERK_REGISTRY_PUSH_USERNAME"):
        return {**pull, "push": _pair("STELLWERK_REGISTRY_PUSH", service)}
    return pull


def _pair(prefix: str, service: str) -> dict[str, str]:
    return {"username": _given(f"{prefix}_USERNAME", service), "password": _given(f"{prefix}_PASSWORD", service)}


def _given(variable: str, service: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise DeliveryError(f"{variable} is not set; it is the login of {service}, which this stack does not run")
    return value


def _certificates(plan: _Plan, certificate: str) -> None:
    values, key = plan.environment, plan.values["caKey"]
    address = values.cluster.address
    wanted = {
        "gateway": (PLATFORM, ["gateway"], True),
        "objectStore": (PLATFORM, ["object-store", "object-store-reader"], values.object_store.mode is Mode.EMBEDDED),
        "registry": (PLATFORM, ["registry"], values.registry.mode is Mode.EMBEDDED),
        "logStore": (PLATFORM, [LOG_STORE], values.logging.mode is Mode.EMBEDDED),
        "kserveWebhook": (KSERVE, [KSERVE_WEBHOOK], not values.cluster.shared),
    }
    for name, (purpose, services, needed) in wanted.items():
        if needed:
            namespace = f"{values.environment}-{purpose}"
            suffixes = (f".{namespace}.svc", "", f".{namespace}.svc.cluster.local")
            names = [*(f"{service}{suffix}" for service in services for suffix in suffixes), address]
            there = plan.values.get("tls", {}).get(name)
            # A changed address of the cluster needs another certificate.
            if there and not authority.covers(there["certificate"], names):
                del plan.values["tls"][name]
            plan.need("tls", name, make=lambda names=names: authority.sign(certificate, key, names))


def _trust(certificate: str) -> None:
    """The local node and its image builder trust the registry through this file."""
    target = layout().registry_ca
    if target.parent.is_dir() and not (target.exists() and target.read_text() == certificate):
        target.write_text(certificate)


def _password() -> str:
    return secrets.token_urlsafe(32)


def _user() -> dict[str, str]:
    password = _password()
    return {"password": password, "hash": _hash(password)}


def _hash(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()
