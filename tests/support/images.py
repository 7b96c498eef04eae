"""Images: built from what they take of the checkout and nothing else of it, and read from dev's registry."""

import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.project import Project

_TYPES = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"


def copies(dockerfile: str) -> str:
    """Return a Dockerfile of the lines that copy from the context, with the arguments that they may name."""
    lines = re.findall(r"^(?:ARG \S+=|COPY (?!.*(?:--from=|<<))).*", dockerfile, re.MULTILINE)
    return "\n".join(["FROM scratch", "ARG SOURCE_DATE_EPOCH", *lines, ""])


def checkout_of_another(source: Path, target: Path) -> None:
    """Copy the folder as a checkout under umask 077, with what editors, notebooks and desktops leave in it."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [target, *target.rglob("*")]:
        path.chmod(0o700 if path.is_dir() or path.stat().st_mode & 0o100 else 0o600)
    for folder in [target, *(path for path in target.iterdir() if path.is_dir())]:
        for stray in (".DS_Store", ".ipynb_checkpoints/a-checkpoint.py", "__pycache__/a.pyc", "a.py~", ".#a.py"):
            (folder / stray).parent.mkdir(exist_ok=True)
            (folder / stray).write_text("stray")


@contextmanager
def endless_build(tools: Path, socket: Path, work: Path) -> Iterator[str]:
    """Run a build whose one step takes a day, until it is killed or the block ends; give the step's command."""
    work.mkdir()
    shutil.copy(tools / "busybox", work / "busybox")
    step = ["/bin/busybox", "sleep", str(86_400 + secrets.randbelow(1000))]
    (work / "Dockerfile").write_text(f"FROM scratch\nCOPY busybox /bin/busybox\nRUN {json.dumps(step)}\n")
    process = subprocess.Popen(
        [tools / "buildctl", "--addr", f"unix://{socket}", "build", "--no-cache", "--frontend", "dockerfile.v0",
         "--local", f"context={work}", "--local", f"dockerfile={work}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield " ".join(step)
    finally:
        process.kill()
        process.wait()


def bytecode(layer: Collection[str]) -> tuple[int, set[str]]:
    """Return how many of a layer's files are Python's that an image runs, and those of them without bytecode.

    A model's own code is a few lines, which Python compiles as it starts.
    """
    sources = {file for file in layer if re.fullmatch(r"(opt/venv|app/(?!model/)).*\.py", file)}
    compiled = re.compile(r"(.*)__pycache__/(.*)\.cpython-\d+\.pyc")
    return len(sources), sources - {
        "".join(parts.groups()) + ".py" for file in layer if (parts := compiled.fullmatch(file))
    }


def build(buildctl: Path, socket: Path, context: Path, dockerfile: str, work: Path) -> str:
    """Build an image, and return its digest."""
    work.mkdir()
    (work / "Dockerfile").write_text(dockerfile)
    command: list[str | Path] = [
        buildctl, "--addr", f"unix://{socket}", "build", "--no-cache", "--frontend", "dockerfile.v0",
        "--local", f"context={context}", "--local", f"dockerfile={work}", "--opt", "build-arg:SOURCE_DATE_EPOCH=0",
        "--output", f"type=oci,dest={work / 'image.tar'},rewrite-timestamp=true",
        "--metadata-file", work / "metadata.json",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    digest: str = json.loads((work / "metadata.json").read_text())["containerimage.digest"]
    return digest


@contextmanager
def registry(project: Project) -> Iterator[httpx.Client]:
    """dev's registry, as the login of the builds."""
    login = project.credentials("dev")["registry"]
    with httpx.Client(verify=project.trust("dev"), auth=(login["username"], login["password"]), timeout=60) as client:
        yield client


def repository(reference: str) -> str:
    """Return the address of an image's repository in the registry's own interface."""
    return f"https://{reference.split('@')[0].replace('/', '/v2/', 1)}"


def manifest(client: httpx.Client, reference: str) -> dict[str, Any]:
    """Return the image's manifest; of an index, that of its first platform."""
    name, digest = reference.split("@")
    url = f"{repository(reference)}/manifests/{digest}"
    document: dict[str, Any] = client.get(url, headers={"Accept": _TYPES}).raise_for_status().json()
    if "manifests" in document:
        return manifest(client, f"{name}@{document['manifests'][0]['digest']}")
    return document


def save(client: httpx.Client, reference: str, name: str, folder: Path) -> None:
    """Write the image into a folder: its manifest as `<name>.json`, configuration and layers by their digests."""
    document = manifest(client, reference)
    folder.mkdir(parents=True, exist_ok=True)
    for entry in [document["config"], *document["layers"]]:
        file = folder / entry["digest"].removeprefix("sha256:")
        if file.exists() and file.stat().st_size == entry["size"]:
            continue
        with (
            client.stream("GET", f"{repository(reference)}/blobs/{entry['digest']}") as response,
            file.open("wb") as out,
        ):
            for piece in response.raise_for_status().iter_raw(1 << 20):
                out.write(piece)
    (folder / f"{name}.json").write_text(json.dumps(document))
