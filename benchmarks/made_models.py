"""Prod with many models more, in a copy of the checkout: real objects of a real controller, whose pods nobody runs."""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from benchmarks.errors import BenchmarkError
from benchmarks.measure import ROOT, of_checkout, output, timed
from components.cluster.node_pool import GPU, POOL_LABEL
from delivery.commands.app import open_session
from infra.contract.release import Releases, object_key
from infra.services.node_pools import pools
from infra.targets.variables import LOCAL_CONTEXT
from infra.values import NAMESPACE, file_name, from_file

if TYPE_CHECKING:
    from delivery.clients.store import Store

ENVIRONMENT = "prod"
_PREFIX = "bench-model"
_KUBECTL = ("kubectl", "--context", LOCAL_CONTEXT)
_LEFT_OUT = (".git", ".venv", ".toolchain", ".contexts", "__pycache__", "tests", "*_cache")
# What a checkout links to.
_LINKS = (".venv", ".toolchain")
# Of the whole environment: nothing of this is set aside anywhere.
_QUOTA = {"cpu": "10000", "memory": "100Ti", "pods": 10000, "storage": "100Ti"}


@dataclass(frozen=True)
class Prod:
    """The environment in a copy of the checkout: its file there says how many models it has."""

    folder: Path
    env: Mapping[str, str]
    before: str
    pool: str
    store: Callable[[], AbstractContextManager["Store"]]

    @property
    def own(self) -> list[str]:
        """The models that prod has without the benchmark."""
        return list(yaml.safe_load(self.before)["config"][f"{NAMESPACE}:models"])

    def engine(self, verb: str, *options: str) -> dict[str, float]:
        """Run and time `pulumi <verb>` on prod."""
        return timed(["pulumi", verb, "--stack", ENVIRONMENT, "--non-interactive", *options], self.folder, self.env)

    def up(self) -> dict[str, float]:
        """Apply what the file says."""
        return self.engine("up", "--yes", "--skip-preview")

    def stellwerk(self, *arguments: str, fine: tuple[int, ...] = (0,)) -> dict[str, float]:
        """Run and time the command."""
        return timed([sys.executable, "-m", "delivery.cli", *arguments], self.folder, self.env, fine)

    def grow(self, count: int) -> None:
        """Write a file with `count` models in all, and a release of each with an artefact in the store."""
        if count <= len(self.own):
            raise BenchmarkError(f"{ENVIRONMENT} has {len(self.own)} models of its own; --counts begin above that")
        document = yaml.safe_load((self.folder / file_name(ENVIRONMENT)).read_text(encoding="utf-8"))
        config = document["config"]
        config[f"{NAMESPACE}:quota"] = _QUOTA
        held = config[f"{NAMESPACE}:models"]
        new = [name for name in names(count - len(self.own)) if name not in held]
        template = self._template(held)
        with self.store() as store:
            for name in new:
                release = self._release(template, name)
                held[name] = {"release": release, "previous": None, "replicas": 1, "nodePool": self.pool}
                with store.asked() as client:
                    client.put_object(Bucket=store.bucket, Key=_key(name), Body=_artefact(name))
        self._write(yaml.safe_dump(document, sort_keys=False))

    def _template(self, held: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return the document of a release that prod serves."""
        served = next(((name, held[name]["release"]) for name in self.own if held[name].get("release")), None)
        if served is None:
            raise BenchmarkError(f"{ENVIRONMENT} serves no release; run `make demo` first")
        document: dict[str, Any] = yaml.safe_load(self._releases.file(*served).read_text(encoding="utf-8"))
        return {key: value for key, value in document.items() if key != "examples"}

    def _release(self, template: Mapping[str, Any], name: str) -> str:
        """Write a release of a made-up model, and return its id."""
        digest, size = _digest(name), len(_artefact(name))
        identity = f"v1-{digest.partition(':')[2][:8]}"
        document = {
            **template,
            "metadata": {**template["metadata"], "model": name, "release": identity},
            "artefact": {**template["artefact"], "digest": digest, "size": size, "key": _key(name)},
        }
        file = self._releases.file(name, identity)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return identity

    @property
    def _releases(self) -> Releases:
        return Releases(self.folder / "stacks" / "releases")

    def _write(self, text: str) -> None:
        (self.folder / file_name(ENVIRONMENT)).write_text(text, encoding="utf-8")

    def put_back(self) -> None:
        """Apply prod's file as it was: that takes all made-up models away."""
        print(f"putting {ENVIRONMENT} back", file=sys.stderr)
        open_session().backend.wait(ENVIRONMENT, Console(stderr=True))
        self._write(self.before)
        self.up()


def names(count: int) -> list[str]:
    """Return the names of made-up models."""
    return [f"{_PREFIX}-{number:04}" for number in range(1, count + 1)]


def _artefact(name: str) -> bytes:
    """Return what stands for the artefact: no pod loads it."""
    return f"artefact of {name}\n".encode()


def _digest(name: str) -> str:
    return f"sha256:{sha256(_artefact(name)).hexdigest()}"


def _key(name: str) -> str:
    return object_key(name, _digest(name), "onnx")


@contextmanager
def prod(env: Mapping[str, str], most: int) -> Iterator[Prod]:
    """Make a copy of the checkout, and a simulated node for `most` pods; whatever happens, all of it is gone after."""
    known = pools(from_file(ENVIRONMENT, only=()).environment)
    if not known:
        raise BenchmarkError(f"{ENVIRONMENT} has no node pool; made-up models need one, run `make demo` first")
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-models-"))) / "checkout"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        for link in _LINKS:
            (folder / link).symlink_to((ROOT / link).resolve())
        before = open_session().project.text(ENVIRONMENT)
        made = Prod(folder, of_checkout(folder, env), before, known[0].name, lambda: open_session().store(ENVIRONMENT))
        cleanup.callback(_remove_artefacts, most)
        _node(env, most, known[0].name)
        cleanup.callback(output, [*_KUBECTL, "delete", "node", _PREFIX, "--ignore-not-found"], ROOT, env)
        cleanup.callback(made.put_back)
        yield made


def _node(env: Mapping[str, str], pods: int, pool: str) -> None:
    """Make a node on which the scheduler places pods and nobody runs them: they are said to be ready at once."""
    capacity = {"cpu": str(pods), "memory": f"{pods}Gi", "pods": str(2 * pods), GPU: "8"}
    document = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": _PREFIX,
            "annotations": {"kwok.x-k8s.io/node": "fake", "stellwerk.dev/capacity": json.dumps(capacity)},
            "labels": {POOL_LABEL: pool, "kubernetes.io/hostname": _PREFIX, "stellwerk.dev/simulated": "true"},
        },
        "spec": {"taints": [{"key": GPU, "value": "present", "effect": "NoSchedule"}]},
    }
    timed([*_KUBECTL, "apply", "--filename", "-"], ROOT, env, stdin=json.dumps(document))


def _remove_artefacts(most: int) -> None:
    with open_session().store(ENVIRONMENT) as store, store.asked() as client:
        for name in names(most):
            client.delete_object(Bucket=store.bucket, Key=_key(name))
