"""Runs the whole Pulumi program of one stack under mocks, and keeps what it registered as the engine would see it."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.proto import callback_pb2
from pulumi.runtime.stack import run_pulumi_func

from infra.discovery import Services
from infra.program import main
from infra.targets.target import Target
from tests.support.documents import whole_values

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "stellwerk:"
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
SENTINEL = "sentinel-secret"
DIGEST = "sha256:" + "cd" * 32


@dataclass
class Recording(mocks.MockMonitor):
    """What the program registered: raw inputs by `type::name`, with secrets as the wire carries them; hooks by name.

    `before` are the outputs of the update before by stack, as the engine gives them.
    """

    before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    deleted_with: dict[str, str] = field(default_factory=dict)
    hooks: dict[str, pulumi.ResourceHook] = field(default_factory=dict)
    dependencies: dict[str, set[str]] = field(default_factory=dict)
    waits: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    transforms: dict[str, list[str]] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(Answers(self.before))

    def logger(self) -> logging.Logger:
        """Return where the engine would write what the program says."""
        logger, handler = logging.Logger("program"), logging.Handler(logging.WARNING)
        handler.emit = lambda record: self.warnings.append(record.getMessage())  # type: ignore[method-assign]
        logger.addHandler(handler)
        return logger

    def RegisterResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            key = f"{request.type}::{request.name}"
            assert key not in self.inputs, f"{key} is registered twice"
            self.inputs[key] = json_format.MessageToDict(request.object)
            self.parents[key] = "::".join(request.parent.split("::")[2:]).rpartition("$")[2]
            self.providers[key] = request.provider or dict(request.providers).get("kubernetes", "")
            self.deleted_with[key] = "::".join(request.deletedWith.split("::")[2:]).rpartition("$")[2]
            self.dependencies[key] = {urn.rpartition("$")[2] for urn in request.dependencies}
            self.waits[key] = (list(request.hooks.before_create), list(request.hooks.before_update))
            if request.protect:
                self.protected.add(key)
            self.transforms[key] = [callback.token for callback in request.transforms]
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        """What the callback server of a real engine is asked for."""
        self.hooks[hook.name] = hook

    def register_transform(self, transform: pulumi.ResourceTransform) -> callback_pb2.Callback:
        """The engine would call it for each child: mocks call none."""
        return callback_pb2.Callback(token=transform.__name__)

    def of_kind(self, kind: str) -> dict[str, Any]:
        """Inputs of all resources of a Kubernetes kind, by resource name; secrets as [secret]."""
        return {
            key.rpartition("::")[2]: shown(inputs)
            for key, inputs in self.inputs.items()
            if key.rpartition("::")[0].endswith(f":{kind}")
        }

    def tree(self) -> dict[str, Any]:
        """The resources by component, and the stack's outputs: what a snapshot shows."""
        resources: dict[str, Any] = {"outputs": shown(self.outputs)}
        for key in sorted(self.inputs):
            if not key.startswith("stellwerk:"):
                resources.setdefault(self.parents[key], {})[key] = shown(self.inputs[key])
        return resources


@dataclass(frozen=True)
class Answers(mocks.Mocks):
    """Resources come out as they went in, with what only the engine and the providers know."""

    before: Mapping[str, Mapping[str, Any]]

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        state = dict(args.inputs)
        if args.typ == "docker-build:index:Image":
            # No `ref`: with a raw export of its own the provider leaves it empty.
            state["contextHash"], state["digest"] = "0", DIGEST
        elif args.typ == "pulumi:pulumi:StackReference":
            state["outputs"] = self.before.get(str(args.inputs["name"]).rpartition("/")[2], {})
        elif args.typ.startswith("aws:"):
            state |= amazon(args.typ, args.name)
        elif args.typ.startswith("kubernetes:") and "metadata" in state:
            state["metadata"] = {"name": f"{args.name}-generated"} | state["metadata"]
        return f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        assert args.token == "pulumi:pulumi:readStackOutputs", "nothing else is asked of the engine"
        return {"outputs": self.before.get(args.args["name"].rpartition("/")[2], {})}, []


def amazon(kind: str, name: str) -> dict[str, Any]:
    """What only AWS knows of a resource, with names that show where it is used."""
    service = kind.split(":")[1].partition("/")[0]
    known: dict[str, Any] = {"arn": f"arn:aws:{service}:::{name}", "url": f"https://{service}.example/{name}"}
    if kind == "aws:eks/cluster:Cluster":
        known |= {
            "endpoint": "https://eks.example",
            "certificateAuthority": {"data": "YXV0aG9yaXR5"},
            "identities": [{"oidcs": [{"issuer": "https://oidc.example/id/1"}]}],
        }
    elif kind == "aws:ec2/launchTemplate:LaunchTemplate":
        known["latestVersion"] = 1
    elif kind == "aws:kms/key:Key":
        known["keyId"] = name
    return known


def run(
    values: Mapping[str, Any],
    stack: str,
    root: Path = ROOT,
    target: Target | None = None,
    services: Services | None = None,
    before: Mapping[str, Mapping[str, Any]] | None = None,
) -> Recording:
    """The program with these configuration values (keys without namespace); raises what the program raises."""
    recording = Recording(before or {})

    def program(loop: asyncio.AbstractEventLoop) -> None:
        pulumi.runtime.set_mocks(
            recording.mocks, "stellwerk", stack, preview=False, logger=recording.logger(), monitor=recording
        )
        settings.SETTINGS.callbacks = recording
        flat = {
            f"{PREFIX}{key}": value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
        }
        pulumi.runtime.set_all_config(flat, [f"{PREFIX}credentials"])
        loop.run_until_complete(run_pulumi_func(lambda: main(root, services, target)))
        stack_resource = pulumi.runtime.get_root_resource()
        outputs = loop.run_until_complete(rpc.serialize_properties(dict(getattr(stack_resource, "outputs", {})), {}))
        recording.outputs = json_format.MessageToDict(outputs)

    apart(program)
    return recording


def apart(program: Callable[[asyncio.AbstractEventLoop], None]) -> None:
    """Run a program with a loop and settings of its own; raises what it raises."""
    failure: list[BaseException] = []

    def work() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            program(loop)
        except BaseException as error:
            failure.append(error)
        finally:
            loop.close()

    # A new thread starts with an empty context: no settings of another test are left.
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def stack_values(stack: str) -> dict[str, Any]:
    """All values of a stack, with no release and with generated credentials."""
    values = whole_values(stack)
    return values | {"credentials": credentials(values), "caCertificate": certificate("ca")}


def certificate(name: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"


def credentials(values: Mapping[str, Any]) -> dict[str, Any]:
    """Credentials as `stellwerk init` writes them for these values, every secret value marked."""
    services = ["gateway", "objectStore"]
    made: dict[str, Any] = {
        "caKey": f"{SENTINEL}-ca",
        "objectStore": {
            "accessKey": f"{SENTINEL}-access",
            "secretKey": f"{SENTINEL}-key",
            "reader": {"accessKey": f"{SENTINEL}-reader-access", "secretKey": f"{SENTINEL}-reader-key"},
        },
        "registry": {"username": values["environment"], "password": f"{SENTINEL}-registry"},
    }
    if not values["cluster"]["shared"]:
        services.append("kserveWebhook")
    if values["registry"]["mode"] == "embedded":
        services.append("registry")
        made["registry"] |= {
            "htpasswd": f"{SENTINEL}-htpasswd",
            "push": {"username": "builder", "password": f"{SENTINEL}-push", "htpasswd": f"{SENTINEL}-writers"},
            "logins": {name: f"{SENTINEL}-{name}" for name in ("dev", "test", "prod")},
        }
    if values.get("tracking", {}).get("mode") == "embedded":
        made["tracking"] = {"postgresPassword": f"{SENTINEL}-postgres"}
    if values["logging"]["mode"] == "embedded":
        services.append("logStore")
        users = ("shipper", "reader", "elastic")
        made["logStore"] = {
            "users": {user: {"password": f"{SENTINEL}-{user}", "hash": f"{SENTINEL}-{user}-hash"} for user in users}
        }
    made["tls"] = {name: {"certificate": certificate(name), "key": f"{SENTINEL}-tls-{name}"} for name in services}
    return made


def leaks(value: Any, path: str = "") -> Iterator[str]:
    """Where a marked value stands outside a secret."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return
        for key, item in value.items():
            yield from leaks(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaks(item, f"{path}[{index}]")
    elif isinstance(value, str) and SENTINEL in value:
        yield path


def shown(value: Any) -> Any:
    """A value to look at: secrets as [secret], whole numbers as integers, JSON texts unfolded, no machine paths."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return "[secret]"
        return {key: shown(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> Any:
    if value.startswith("{"):
        try:
            return {"[JSON]": shown(json.loads(value))}
        except json.JSONDecodeError:
            return value
    return value
