"""Runs the whole Pulumi program of one stack under mocks, and keeps what it registered as the engine would see it."""

import asyncio
import json
import runpy
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks
from pulumi.runtime.stack import run_pulumi_func
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
SENTINEL = "sentinel-secret"
# Names that Pulumi would generate; everything else in a mocked state is the input.
DIGEST = "sha256:" + "cd" * 32


@dataclass
class Recording(mocks.MockMonitor):
    """What the program registered: raw inputs by `type::name`, with secrets as the wire carries them."""

    inputs: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, pulumi.Output[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(Answers())

    def RegisterResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            key = f"{request.type}::{request.name}"
            assert key not in self.inputs, f"{key} is registered twice"
            self.inputs[key] = json_format.MessageToDict(request.object)
            self.parents[key] = "::".join(request.parent.split("::")[2:])
        return super().RegisterResource(request)


class Answers(mocks.Mocks):
    """Resources come out as they went in; images get a digest."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        state = dict(args.inputs)
        if args.typ == "docker-build:index:Image":
            repository = str(state["tags"][0]).rsplit(":", 1)[0] if state.get("tags") else args.name
            state |= {"digest": DIGEST, "ref": f"{repository}@{DIGEST}"}
        return f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        return {}, None


def run(values: Mapping[str, Any], stack: str) -> Recording:
    """The program with these configuration values (keys without namespace); raises what the program raises."""
    recording = Recording()
    failure: list[BaseException] = []

    def program() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        pulumi.runtime.set_mocks(recording.mocks, "stellwerk", stack, preview=False, monitor=recording)
        flat = {
            f"stellwerk:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
        }
        pulumi.runtime.set_all_config(flat, ["stellwerk:credentials"])
        try:
            asyncio.get_event_loop().run_until_complete(
                run_pulumi_func(lambda: runpy.run_path(str(ROOT / "infra"), run_name="__main__") and None)
            )
            root = pulumi.runtime.get_root_resource()
            recording.outputs = dict(getattr(root, "outputs", {}))
        except BaseException as error:
            failure.append(error)

    # A new thread starts with an empty context: no settings of another test are left.
    thread = threading.Thread(target=program)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return recording


def stack_values(stack: str) -> dict[str, Any]:
    """The values of a stack's file, with no release and with generated credentials."""
    document = YAML(typ="safe").load(ROOT / "stacks" / f"Pulumi.{stack}.yaml")
    prefix = "stellwerk:"
    values = {key.removeprefix(prefix): value for key, value in document["config"].items() if key.startswith(prefix)}
    for model in values["models"].values():
        model.update(release=None, previous=None)
    return values | {"credentials": credentials(stack), "caCertificate": certificate("ca")}


def certificate(name: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n"


def credentials(stack: str) -> dict[str, Any]:
    """Credentials as `stellwerk init` writes them, every secret value marked."""
    services = ["gateway", "objectStore"]
    values: dict[str, Any] = {
        "caKey": f"{SENTINEL}-ca",
        "objectStore": {"accessKey": f"{SENTINEL}-access", "secretKey": f"{SENTINEL}-key"},
        "registry": {"username": "stellwerk", "password": f"{SENTINEL}-registry"},
    }
    if stack == "dev":
        services += ["registry", "logStore", "kserveWebhook"]
        values["registry"]["htpasswd"] = f"stellwerk:{SENTINEL}-htpasswd"
        values["tracking"] = {"postgresPassword": f"{SENTINEL}-postgres"}
        users = ("shipper", "reader", "elastic")
        values["logStore"] = {
            "users": {user: {"password": f"{SENTINEL}-{user}", "hash": f"{SENTINEL}-{user}-hash"} for user in users}
        }
    values["tls"] = {name: {"certificate": certificate(name), "key": f"{SENTINEL}-tls-{name}"} for name in services}
    return values


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
    """A value for a snapshot: secrets as [secret], whole numbers as integers, machine paths by their name."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET:
            return "[secret]"
        return {key: shown(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.startswith(f"{ROOT}/"):
        return value.removeprefix(f"{ROOT}/")
    return value
