"""A model of gigabytes by a real object store: imported, copied and served, with little memory in what moves it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest

from delivery.operations import authority
from infra.contract.release import Release, Releases
from infra.services.serving.capacity import needed_memory
from infra.values import ROOT
from tests.support.checkout import Checkout
from tests.support.memory_group import memory_group
from tests.support.moving import own_memory
from tests.support.onnx_models import layers_model
from tests.support.tools import eventually, free_port, running, tool

pytestmark = [pytest.mark.tools, pytest.mark.long, pytest.mark.timeout(3000)]

MIB = 1 << 20
LOGIN = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret-of-the-test", "AWS_REGION": "us-east-1"}
MODEL, WIDTH = "heavy", 8192


@dataclass(frozen=True)
class RealStore:
    """versitygw as the stacks run it: TLS, and files in a folder, of which each one below it is a bucket."""

    url: str
    ca: Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RealStore]:
    binary, port, log = tool("versitygw"), free_port(), tmp_path / "store.log"
    certificate, key = authority.make_authority("store")
    pair = authority.sign(certificate, key, ["127.0.0.1"])
    for name, text in (("ca.crt", certificate), ("tls.crt", pair["certificate"]), ("tls.key", pair["key"])):
        (tmp_path / name).write_text(text)
    data = tmp_path / "data"
    for bucket in ("dev", "test"):
        (data / bucket).mkdir(parents=True)
    options = [f"--port=127.0.0.1:{port}", f"--cert={tmp_path / 'tls.crt'}", f"--key={tmp_path / 'tls.key'}"]
    login = {"ROOT_ACCESS_KEY_ID": LOGIN["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_ACCESS_KEY": LOGIN["AWS_SECRET_ACCESS_KEY"]}
    command = [binary, *options, "--quiet", "--health=/health", "posix", data]
    made = RealStore(f"https://127.0.0.1:{port}", tmp_path / "ca.crt")
    with running(command, log, os.environ | login):
        eventually(lambda: _answers(f"{made.url}/health", made.ca), log)
        yield made
    shutil.rmtree(data)


def _answers(url: str, ca: Path | bool = True) -> bool:
    try:
        return httpx.get(url, verify=str(ca) if isinstance(ca, Path) else ca, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def write_weights(path: Path, layers: int, width: int) -> None:
    """Write identities, the first one doubled; what is zero takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(layers * 4 * width * width)
        for place in range(layers * width):
            file.seek(4 * (place * width + place % width))
            file.write(np.float32(2 if place < width else 1).tobytes())


def write_model(folder: Path, layers: int, width: int) -> tuple[Path, list[Path]]:
    """Write a model that doubles its input: of several layers with its tensors in a file beside it."""
    folder.mkdir()
    (folder / "heavy.onnx").write_bytes(layers_model(layers, width, "weights.bin")[0])
    write_weights(folder / "weights.bin", layers, width)
    return folder / "heavy.onnx", [folder / "weights.bin"]


def write_single_file(folder: Path, layers: int, width: int) -> tuple[Path, list[Path]]:
    """Write the same model as one file that holds its tensors."""
    file, _ = write_model(folder, layers, width)
    onnx.save_model(onnx.load_model(file), file)
    (folder / "weights.bin").unlink()
    return file, []


@dataclass(frozen=True)
class World:
    """A checkout, a store, and what runs in between with a limit of memory."""

    checkout: Checkout
    store: RealStore

    @property
    def variables(self) -> dict[str, str]:
        home = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AWS_ENDPOINT_URL_S3": self.store.url}
        return home | LOGIN | {"AWS_CA_BUNDLE": str(self.store.ca)}

    def run(self, limit: int | None, *command: str, **variables: str) -> str:
        """Run a command with at most `limit` bytes of memory; return what it prints."""
        with memory_group(limit) if limit else _unlimited() as group:
            done = subprocess.run(
                [*group, sys.executable, *command],
                env=self.variables | variables,
                capture_output=True,
                text=True,
                check=False,
                cwd=ROOT,
            )
        assert done.returncode == 0, f"{done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def move(self, limit: int | None, **given: Any) -> dict[str, Any]:
        whole = {"url": self.store.url, "ca": str(self.store.ca), "root": str(self.checkout.root), "model": MODEL}
        answer: dict[str, Any] = json.loads(
            self.run(limit, "-m", "tests.support.moving", json.dumps(whole | {"file": None} | given))
        )
        return answer

    def bring(self, limit: int | None, files: tuple[Path, list[Path]]) -> dict[str, Any]:
        file, beside = files
        return self.move(limit, file=str(file), beside=list(map(str, beside)))

    def release(self, identity: str) -> Release:
        return Releases(self.checkout.root / "stacks" / "releases").load(MODEL, identity)


@contextmanager
def _unlimited() -> Iterator[list[str]]:
    yield []


@pytest.fixture
def world(project: Checkout, store: RealStore) -> World:
    return World(project, store)


def in_the_pod(release: Release, folder: Path) -> Mapping[str, str]:
    """Return the variables that the pod's containers have."""
    files = [file.model_dump(mode="json") for file in release.artefact.files]
    return {
        "MODEL_BUCKET": "test",
        "MODEL_KEY": release.artefact.key,
        "MODEL_DIGEST": release.artefact.digest,
        "MODEL_PATH": str(folder / release.artefact.format.file),
        "ARTEFACT_FILES": json.dumps(files),
        "MODEL_NAME": MODEL,
        "RELEASE": release.metadata.release,
        "RUN_ID": "imported",
        "ENVIRONMENT": "test",
    }


@contextmanager
def served(world: World, limit: int, variables: Mapping[str, str], log: Path) -> Iterator[tuple[str, int]]:
    """Run the server with a pod's memory; yield its address and its process."""
    port = free_port()
    with memory_group(limit) as group, log.open("w") as output:
        process = subprocess.Popen(
            [*group, sys.executable, "-m", "serving"],
            env=world.variables | dict(variables) | {"PORT": str(port)},
            stdout=output,
            stderr=output,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: process.poll() is not None or _answers(f"{url}/v2/health/ready"), log, 600)
            assert process.poll() is None, log.read_text()
            yield url, process.pid
        finally:
            process.kill()
            process.wait()


def test_a_model_of_gigabytes_is_imported_copied_and_served_with_little_memory(world: World, tmp_path: Path) -> None:
    # What the programs need by themselves, and 64 MiB.
    small = write_model(tmp_path / "small", 1, 8)
    identity = world.bring(None, small)["release"]
    base = world.move(None, **{"from": "dev", "to": "test", "release": identity})["own"]
    limit = world.bring(None, small)["own"] + 64 * MIB
    large, began = write_model(tmp_path / "large", 9, WIDTH), time.monotonic()
    assert large[1][0].stat().st_size > 2 << 30
    release = world.release(world.bring(limit, large)["release"])
    imported = time.monotonic()
    world.move(base + 64 * MIB, **{"from": "dev", "to": "test", "release": release.metadata.release})
    copied = time.monotonic()
    pod = tmp_path / "pod"
    pod.mkdir()
    variables = in_the_pod(release, pod)
    world.run(base + 64 * MIB, "-m", "serving.fetch", **variables)
    fetched = time.monotonic()
    request = {"name": "x", "datatype": "FP32", "shape": [1, WIDTH], "data": list(range(WIDTH))}
    with served(world, needed_memory(release.artefact), variables, tmp_path / "server.log") as (url, process):
        ready = time.monotonic()
        answer = httpx.post(f"{url}/v2/models/{MODEL}/infer", json={"inputs": [request]}, timeout=120, trust_env=False)
        assert answer.json()["outputs"][0]["data"] == [2 * value for value in range(WIDTH)]
        own = own_memory(process)
    print(
        f"{release.artefact.total_size / 1e9:.2f} GB: imported in {imported - began:.0f} s with {limit // MIB} MiB, "
        f"copied in {copied - imported:.0f} s with {base // MIB + 64} MiB, fetched in {fetched - copied:.0f} s, ready "
        f"in {ready - fetched:.0f} s; the server's own memory {own // MIB} MiB"
    )
    assert own < 64 * MIB
    for folder in ("small", "large", "pod"):
        shutil.rmtree(tmp_path / folder)


def test_one_file_of_300_mb_is_imported_copied_and_fetched_with_little_memory(world: World, tmp_path: Path) -> None:
    identity = world.bring(None, write_single_file(tmp_path / "small", 1, 8))["release"]
    base = world.move(None, **{"from": "dev", "to": "test", "release": identity})["own"]
    limit = world.bring(None, write_single_file(tmp_path / "other", 1, 16))["own"] + 64 * MIB
    large = write_single_file(tmp_path / "large", 5, 4096)
    assert large[0].stat().st_size > 300_000_000
    done = world.bring(limit, large)
    release = world.release(done["release"])
    assert release.artefact.size == large[0].stat().st_size
    world.move(base + 64 * MIB, **{"from": "dev", "to": "test", "release": release.metadata.release})
    pod = tmp_path / "pod"
    pod.mkdir()
    world.run(base + 64 * MIB, "-m", "serving.fetch", **in_the_pod(release, pod))
    assert (pod / "model.onnx").stat().st_size == release.artefact.size
    print(f"{release.artefact.size / 1e6:.0f} MB in one file: imported with {done['own'] // MIB} MiB of its own")
    for folder in ("large", "pod"):
        shutil.rmtree(tmp_path / folder)
