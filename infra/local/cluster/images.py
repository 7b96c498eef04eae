"""Platform images: one static binary FROM scratch, built and put into the node's image store."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from infra.contract.versions import platform_image
from infra.local.cluster.commands import Tools, run
from infra.local.cluster.layout import HELPER_IMAGE, PAUSE_IMAGE, Layout

_AT_ONCE = 3


@dataclass(frozen=True)
class PlatformImage:
    """`entrypoint` is the binary's path inside; `links` are further names of it."""

    reference: str
    tool: str
    entrypoint: str
    arguments: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


IMAGES = (
    PlatformImage(PAUSE_IMAGE, "catatonit", "/pause", ("-P",)),
    PlatformImage(
        HELPER_IMAGE, "busybox", "/bin/busybox", (), tuple(f"/bin/{x}" for x in ("sh", "mkdir", "rm", "cat", "chmod"))
    ),
    PlatformImage(platform_image("registry"), "registry", "/registry"),
    PlatformImage(platform_image("traefik"), "traefik", "/traefik"),
    PlatformImage(platform_image("versitygw"), "versitygw", "/versitygw"),
    PlatformImage(platform_image("kserve-manager"), "kserve-manager", "/manager"),
    PlatformImage(platform_image("log-shipper"), "log-shipper", "/otelcol"),
)


def _dockerfile(image: PlatformImage) -> str:
    command = json.dumps([image.entrypoint, *image.arguments])
    return f"FROM scratch\nCOPY --chown=0:0 root/ /\nUSER 10001:10001\nENTRYPOINT {command}\n"


def _stage(image: PlatformImage, binary: Path, folder: Path) -> None:
    root = folder / "root"
    target = root / image.entrypoint.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(binary, target)
    target.chmod(0o755)
    for link in image.links:
        place = root / link.lstrip("/")
        place.symlink_to(os.path.relpath(target, place.parent))
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/\nnonroot:x:10001:10001:nonroot:/:/\n")
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    # BuildKit takes a file of the same size and time for the one it had; the image gets the time 0 all the same.
    stamp = int(_key(image, binary)[:7], 16)
    for path in sorted(root.rglob("*")):
        os.utime(path, (stamp, stamp), follow_symlinks=False)
    (folder / "Dockerfile").write_text(_dockerfile(image))


def _key(image: PlatformImage, binary: Path) -> str:
    seed = f"{image}{_dockerfile(image)}{sha256(binary.read_bytes()).hexdigest()}"
    return sha256(seed.encode()).hexdigest()


def present(tools: Tools, layout: Layout) -> set[str]:
    """Return the references in the node's image store."""
    return set(run([*_store(tools, layout), "ls", "-q"]).split())


def _store(tools: Tools, layout: Layout) -> list[str | Path]:
    return [tools.path("ctr"), "--address", layout.containerd_socket, "--namespace", "k8s.io", "images"]


def build(
    tools: Tools, layout: Layout, progress: Callable[[str], None], images: Sequence[PlatformImage] = IMAGES
) -> None:
    """Build what is missing or made from another binary, a few at a time: much of it is waiting for the disk."""
    record_file = layout.data / "platform-images.json"
    record = json.loads(record_file.read_text()) if record_file.exists() else {}
    stored = present(tools, layout)
    known = {reference: key for reference, key in record.items() if reference in stored}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        keys = pool.map(lambda image: _provide(image, known.get(image.reference), tools, layout, progress), images)
        for image, key in zip(images, keys, strict=True):
            record[image.reference] = key
            record_file.write_text(json.dumps(record, indent=1))


def _provide(
    image: PlatformImage, known: str | None, tools: Tools, layout: Layout, progress: Callable[[str], None]
) -> str:
    """Put the image into the node's store, unless the one there is `known` to be this one; return its key."""
    binary = tools.path(image.tool)
    key = _key(image, binary)
    if known == key:
        return key
    progress(f"image {image.reference}")
    with tempfile.TemporaryDirectory(dir=layout.run) as folder:
        _stage(image, binary, Path(folder))
        built = Path(folder, "image.tar")
        run(
            [
                tools.path("buildctl"), "--addr", f"unix://{layout.buildkit_socket}", "build",
                "--frontend", "dockerfile.v0", "--local", f"context={folder}", "--local", f"dockerfile={folder}",
                "--opt", "build-arg:SOURCE_DATE_EPOCH=0",
                "--output",
                f"type=oci,dest={built},name={image.reference},rewrite-timestamp=true,compression=uncompressed",
            ],
            timeout=300,
        )  # fmt: skip
        run([*_store(tools, layout), "import", built], timeout=300)
        # No registry has it: a kubelet that is short of disk must not remove it.
        run([*_store(tools, layout), "label", image.reference, "io.cri-containerd.pinned=pinned"])
    return key
