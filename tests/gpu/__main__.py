"""Trains and serves on this machine's GPU with the files of the images that dev builds: `python -m tests.gpu LAYOUT`.

As root, on a machine with NVIDIA's driver; no container runtime is needed. LAYOUT is what
`tests/integration/test_cuda_image.py` leaves: the images `training`, `serving` (built with `images.servingCuda: true`)
and `tracking`, and the object store's program `versitygw`. It shows that

- the training image trains digits with CUDA by its own entry point, with the real tracking server and object store,
  twice with one outcome, which is not the CPU's file, and that it meets the gates;
- the serving image serves that artefact with CUDA, and answers as it does on the CPU, and as the trainer's file did;
- the same of a network of convolution, attention and recurrence;
- how much memory each server has resident.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.gpu.rootfs import USER, Image, image, limited

BUCKET, MODEL = "models", "digits"
STORE, TRACKING, SERVERS = 17070, 17050, {"cpu": 17080, "cuda": 17081}
LOGIN = {"AWS_ACCESS_KEY_ID": "gpu", "AWS_SECRET_ACCESS_KEY": "of-this-run-alone", "AWS_REGION": "us-east-1"}
# As for answers of any two processors: float32, sums in another order.
TOLERANCE = 1e-4
REQUESTS = 50
# What a preview asks for at least for a small model (infra/services/serving/capacity.py), in bytes.
MEMORY = {"cpu": 160 << 20, "cuda": (160 + 900) << 20}
_TERMINATION_LOG = Path("/dev/termination-log")


@dataclass(frozen=True)
class Stand:
    """The images, and the folder in which the store keeps its objects."""

    training: Image
    serving: Image
    objects: Path

    def object(self, key: str) -> Any:
        """Return a JSON document of the store."""
        return json.loads((self.objects / BUCKET / key).read_text())


@contextmanager
def running(process: "subprocess.Popen[bytes]", url: str, seconds: float = 120) -> Iterator[None]:
    """Wait until the address answers, and end the process afterwards."""
    try:
        deadline = time.monotonic() + seconds
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{url} does not answer; exit code {process.poll()}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - of this machine, by HTTP
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def stand(layout: Path, folder: Path, driver: Path) -> Iterator[Stand]:
    """Unpack the images, and run store and tracking server."""
    with ExitStack() as stack:
        images = {name: image(layout, name, folder / name, driver) for name in ("training", "serving", "tracking")}
        objects = folder / "objects"
        objects.mkdir()
        login = {
            "ROOT_ACCESS_KEY_ID": LOGIN["AWS_ACCESS_KEY_ID"],
            "ROOT_SECRET_ACCESS_KEY": LOGIN["AWS_SECRET_ACCESS_KEY"],
        }
        store = subprocess.Popen(
            [layout / "versitygw", "--port", f"127.0.0.1:{STORE}", "--health", "/health", "--quiet", "posix", objects],
            env=login,
        )
        stack.enter_context(running(store, f"http://127.0.0.1:{STORE}/health"))
        server = images["tracking"].start(
            "server", "--host=127.0.0.1", f"--port={TRACKING}", "--workers=1",
            MLFLOW_BACKEND_STORE_URI="sqlite:////tmp/runs.db", MLFLOW_ARTIFACTS_DESTINATION="/tmp/artifacts",
        )  # fmt: skip
        stack.enter_context(running(server, f"http://127.0.0.1:{TRACKING}/health"))
        made = Stand(images["training"], images["serving"], objects)
        make = f"import boto3; boto3.client('s3').create_bucket(Bucket={BUCKET!r})"
        made.training.run("-c", make, entrypoint=["python"], **_store_variables())
        yield made


def _store_variables() -> dict[str, str]:
    variables = {**LOGIN, "AWS_DEFAULT_REGION": LOGIN["AWS_REGION"], "MODEL_BUCKET": BUCKET}
    return {**variables, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{STORE}"}


def train(stand: Stand, device: str, job: str) -> dict[str, Any]:
    """Return the candidate of a training by the image's entry point, as the Job of a GPU pool runs it."""
    _TERMINATION_LOG.write_text("")
    os.chown(_TERMINATION_LOG, USER, USER)
    began = time.monotonic()
    try:
        stand.training.run(
            MODEL, **_store_variables(), JOB_NAME=job, STELLWERK_DEVICE=device,
            MLFLOW_TRACKING_URI=f"http://127.0.0.1:{TRACKING}",
            TRAINING_IMAGE=f"images/model-{MODEL}@sha256:{'0' * 64}",
        )  # fmt: skip
        assert _TERMINATION_LOG.read_text().startswith("sha256:"), "the Job states its candidate's digest"
    finally:
        _TERMINATION_LOG.unlink()
    seconds = time.monotonic() - began
    candidate: dict[str, Any] = stand.object(f"candidates/{MODEL}/{job}.json")
    assert all(gate["passed"] for gate in candidate["evaluation"]["gates"]), candidate["evaluation"]
    return {**candidate, "seconds": seconds}


def fetch(stand: Stand, candidate: dict[str, Any], path: str) -> None:
    """Bring the artefact as a pod's first container does."""
    artefact = candidate["artefact"]
    stand.serving.run(
        "-m", "serving.fetch", entrypoint=["python"], **_store_variables(), MODEL_KEY=artefact["key"],
        MODEL_DIGEST=artefact["digest"], MODEL_PATH=path, ENVIRONMENT="gpu",
    )  # fmt: skip


def compare(stand: Stand, name: str, digest: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
    """Ask the serving image on both devices; return how answers differ at most, and the memory of each server."""
    body = json.dumps({"inputs": document["inputs"]}).encode()
    expected = _arrays(document["outputs"])
    answers, memory = {}, {}
    for device, port in SERVERS.items():
        url = f"http://127.0.0.1:{port}/v2/models/{name}"
        request = urllib.request.Request(f"{url}/infer", body, {"Content-Type": "application/json"})  # noqa: S310 - the same
        with limited(MEMORY[device]) as group:
            server = stand.serving.start(
                group=group, MODEL_NAME=name, MODEL_DIGEST=digest, MODEL_PATH=path, RELEASE="v1-00000000", RUN_ID="1",
                ENVIRONMENT="gpu", PORT=str(port), STELLWERK_DEVICE=device, DRAIN_SECONDS="0",
            )  # fmt: skip
            with running(server, f"{url}/ready"):
                for _ in range(REQUESTS):
                    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - of this machine, by HTTP
                        answers[device] = _arrays(json.load(answer)["outputs"])
                peak = int((group / "memory.peak").read_text()) >> 20
                memory[device] = {**_memory(server.pid), "limit": MEMORY[device] >> 20, "peak": peak}
                print(_nvidia("--query-compute-apps=pid,used_memory"), flush=True)
    differences = {}
    for what, other in (("cpu", answers["cpu"]), ("trainer", expected)):
        for output, values in other.items():
            np.testing.assert_allclose(answers["cuda"][output], values, rtol=TOLERANCE, atol=TOLERANCE)
            differences[f"{output}, from {what}"] = float(np.abs(answers["cuda"][output] - values).max())
    return {"largest difference": differences, "server's memory, MiB": memory}


def _memory(pid: int) -> dict[str, int]:
    """Return what a process has resident, at most so far, and now of its own, in MiB."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {key: int(lines[key].split()[0]) >> 10 for key in ("VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem")}


def _arrays(tensors: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["name"]: np.array(each["data"], dtype=np.float32).reshape(each["shape"]) for each in tensors}


def _nvidia(query: str) -> str:
    done = subprocess.run(["nvidia-smi", query, "--format=csv,noheader"], text=True, capture_output=True, check=True)
    return done.stdout.strip()


def digits(stand: Stand) -> dict[str, Any]:
    """Train on the CPU once, and on the GPU twice; serve what the GPU has trained."""
    made = {job: train(stand, job.split("-")[1], f"train-{job}") for job in ("digits-cpu", "digits-cuda", "again-cuda")}
    first, again = made["digits-cuda"], made["again-cuda"]
    assert first["artefact"]["digest"] == again["artefact"]["digest"], "one seed, one device: one file"
    # Sums in another order: were it the CPU's, it would be the CPU's file.
    assert first["artefact"]["digest"] != made["digits-cpu"]["artefact"]["digest"]
    fetch(stand, first, "/tmp/digits.onnx")
    rows = stand.object(first["examples"]["key"])
    served = compare(stand, MODEL, first["artefact"]["digest"], "/tmp/digits.onnx", rows)
    return {
        "training, seconds": {job: round(each["seconds"], 1) for job, each in made.items()},
        "metrics": {job: each["evaluation"]["metrics"] for job, each in made.items()},
        "rows": len(rows["labels"]),
        **served,
    }


def network(stand: Stand) -> dict[str, Any]:
    """Fit and export the network with the training image on the GPU; serve it."""
    script = stand.training.root / "tmp" / "network.py"
    script.write_text(Path(__file__).with_name("network.py").read_text())
    printed = stand.training.run("/tmp/network.py", "cuda", "/tmp/network", entrypoint=["python"], PYTHONPATH="/app")
    losses = json.loads(printed.splitlines()[-1])
    assert losses["last loss"] < losses["first loss"] / 2, losses
    made = stand.training.root / "tmp" / "network"
    content = (made / "model.onnx").read_bytes()
    (stand.serving.root / "tmp" / "network.onnx").write_bytes(content)
    digest = subprocess.run(["sha256sum"], input=content, capture_output=True, check=True).stdout.split()[0].decode()
    rows = json.loads((made / "request.json").read_text())
    return {**losses, **compare(stand, "network", f"sha256:{digest}", "/tmp/network.onnx", rows)}


def main() -> None:
    """Run all of it and print a report."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("layout", type=Path, help="folder of the images")
    parser.add_argument("--driver", type=Path, required=True, help="folder of the driver's libraries (libcuda.so.1)")
    parser.add_argument("--report", type=Path, help="file that gets the report, JSON")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="stw-gpu-") as folder,
        stand(given.layout, Path(folder), given.driver) as made,
    ):
        report = {
            "gpu": _nvidia("--query-gpu=name,driver_version"),
            "digits": digits(made),
            "network": network(made),
            # That is training: of servers it is what they say of themselves above.
            "largest process, MiB": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10,
        }
    text = json.dumps(report, indent=1)
    print(text)
    if given.report:
        given.report.write_text(text + "\n")


if __name__ == "__main__":
    main()
