"""An environment of many models: real objects of a real controller, most of whose pods nobody runs.

Run as a program in the copy of the checkout that `benchmarks.models` makes: its file names the environment, and this
checkout's do not.
"""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.errors import BenchmarkError
from components.kit.names import CAPACITY, GPU, POOL_LABEL
from infra.contract.artefact import object_key
from infra.contract.release import Releases
from infra.contract.stacks import StackFiles
from infra.values import NAMESPACE, ROOT, file_name

if TYPE_CHECKING:
    from delivery.clients.store import Store

# The environment and the one that it takes its real model from, whose file it is made from.
ENVIRONMENT, SOURCE = "bench", "prod"
NODE = "bench-models"
_POOL = "bench"
# Of the whole environment: nothing of this is set aside anywhere.
_QUOTA = {"cpu": "10000", "memory": "100Ti", "pods": 10000, "storage": "100Ti"}
# Ports that no environment of the demo has.
_PORTS = {"objectStore": 31902, "gateway": 31445}
_NEW_SECRETS = ("credentials", "caCertificate")


def write_environment(root: Path, model: str) -> None:
    """Write the environment's file, made from that of the source, with the real model and without a release."""
    values = StackFiles(root).values(SOURCE)
    for section, port in _PORTS.items():
        values[section] = {**values[section], "nodePort": port}
    pool = {"name": _POOL, "accelerator": "none", "gpus": 8, "nodes": 1, "external": True}
    # By its path: at its address alone the registry would be that of another environment, which has no login for this.
    registry = {"mode": "external", "address": f"{values['registry']['address']}/serving"}
    values |= {
        "environment": ENVIRONMENT,
        "releasesFrom": SOURCE,
        "quota": _QUOTA,
        "nodePools": [pool],
        "registry": registry,
    }
    values["models"] = {model: {"release": None, "previous": None, "replicas": 1, "nodePool": None}}
    kept = {f"{NAMESPACE}:{key}": value for key, value in values.items() if key not in _NEW_SECRETS}
    (root / file_name(ENVIRONMENT)).write_text(yaml.safe_dump({"config": kept}, sort_keys=False), encoding="utf-8")


def grow(root: Path, count: int, store: Callable[[], AbstractContextManager["Store"]]) -> None:
    """Have the file name `count` models in all; each new one has a release, and an artefact in the store."""
    file = root / file_name(ENVIRONMENT)
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    held = document["config"][f"{NAMESPACE}:models"]
    real = next(iter(held))
    if held[real]["release"] is None:
        raise BenchmarkError(f"{ENVIRONMENT} serves no release of {real} to make others of")
    releases = Releases(root / "stacks" / "releases")
    template = yaml.safe_load(releases.file(real, held[real]["release"]).read_text(encoding="utf-8"))
    template.pop("examples", None)
    with store() as place:
        for name in names(count - 1):
            if name in held:
                continue
            release = _write_release(releases, template, name)
            # Without a share of the node's GPUs: it has room for all of them.
            held[name] = {"release": release, "previous": None, "replicas": 1, "nodePool": _POOL, "gpu": 0}
            with place.asked() as client:
                client.put_object(Bucket=place.bucket, Key=_key(name), Body=_artefact(name))
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def names(count: int) -> list[str]:
    """Return the names of made-up models."""
    return [f"model-{number:04}" for number in range(1, count + 1)]


def node(pods: int) -> dict[str, Any]:
    """Return a node on which the scheduler places pods and nobody runs them: they are said to be ready at once."""
    capacity = {"cpu": str(pods), "memory": f"{pods}Gi", "pods": str(2 * pods), GPU: "8"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "annotations": {"kwok.x-k8s.io/node": "fake", CAPACITY: json.dumps(capacity)},
            "labels": {POOL_LABEL: _POOL, "kubernetes.io/hostname": NODE, "stellwerk.dev/simulated": "true"},
        },
        "spec": {"taints": [{"key": GPU, "value": "present", "effect": "NoSchedule"}]},
    }


def _write_release(releases: Releases, template: Mapping[str, Any], name: str) -> str:
    """Write a release of a made-up model, and return its id."""
    digest, size = _digest(name), len(_artefact(name))
    identity = f"v1-{digest.partition(':')[2][:8]}"
    document = {
        **template,
        "metadata": {**template["metadata"], "model": name, "release": identity},
        "artefact": {**template["artefact"], "digest": digest, "size": size, "key": _key(name)},
    }
    file = releases.file(name, identity)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return identity


def _artefact(name: str) -> bytes:
    """Return what stands for the artefact: no pod loads it."""
    return f"artefact of {name}\n".encode()


def _digest(name: str) -> str:
    return f"sha256:{sha256(_artefact(name)).hexdigest()}"


def _key(name: str) -> str:
    return object_key(name, _digest(name), "onnx")


if __name__ == "__main__":
    from delivery.commands.app import open_session

    grow(ROOT, int(sys.argv[1]), lambda: open_session().store(ENVIRONMENT))
