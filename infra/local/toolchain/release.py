"""Official releases: downloaded, checked against the published checksum, unpacked."""

import hashlib
import json
import re
import shutil
import threading
from pathlib import Path

import httpx

from infra.local.toolchain import archive
from infra.local.toolchain.context import Context
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.hosts import client, origin
from infra.local.toolchain.manifest import Release, Tool

_ALGORITHMS = {64: "sha256", 128: "sha512"}
_LOCKS: dict[str, threading.Lock] = {}
_LOCKS_LOCK = threading.Lock()


def unavailable(tool: Tool, context: Context) -> str | None:
    """Return why the release is not available; None when its server answers."""
    release = _release(tool)
    url = tool.expand(release.url)
    return None if context.hosts.reachable(url) else f"{origin(url)} does not answer"


def fetch(tool: Tool, into: Path, context: Context) -> None:
    """Write the files of `tool` into the folder `into`; raise ToolchainError."""
    release = _release(tool)
    url = tool.expand(release.url)
    name = url.rsplit("/", 1)[-1]
    with _LOCKS_LOCK:
        lock = _LOCKS.setdefault(url, threading.Lock())
    # Several tools come in one archive: the first downloads it, the others find it.
    with lock:
        download = context.work / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}"
        if not download.exists():
            _download(tool, url, download, context)
    context.note(tool.name, "unpacking")
    if tool.is_folder:
        archive.unpack(download, into, release.strip, release.exclude)
    for file in tool.outputs:
        if release.members:
            archive.extract(download, tool.expand(release.members[file]), into / file, name)
        else:
            shutil.copyfile(download, into / file)


def checksum(text: str, name: str, source: str) -> str:
    """Return the digest of file `name` in `text`: `digest  name` lines, a bare digest, or GitHub's release record.

    Raises ToolchainError when the file has none.
    """
    if text.lstrip().startswith("{"):
        for asset in json.loads(text).get("assets", []):
            if asset.get("name") == name and str(asset.get("digest") or "").startswith("sha256:"):
                return str(asset["digest"]).removeprefix("sha256:").lower()
    for line in text.splitlines():
        words = line.replace("*", " ").split()
        digest = next((word for word in words if re.fullmatch(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{128}", word)), None)
        if digest and (len(words) == 1 or any(word.rsplit("/", 1)[-1] == name for word in words)):
            return digest.lower()
    raise ToolchainError(f"{source} names no SHA-256 or SHA-512 digest of {name}")


def _download(tool: Tool, url: str, target: Path, context: Context) -> None:
    name = url.rsplit("/", 1)[-1]
    source = tool.expand(_release(tool).checksum)
    part = target.with_name(f"{target.name}.part")
    try:
        with client(30) as session:
            expected = checksum(session.get(source).raise_for_status().text, name, source)
            digest = hashlib.new(_ALGORITHMS[len(expected)])
            with session.stream("GET", url) as response, part.open("wb") as file:
                response.raise_for_status()
                total = int(response.headers.get("content-length", 0))
                for chunk in response.iter_bytes(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
                    share = f" {100 * response.num_bytes_downloaded // total} %" if total else ""
                    context.note(tool.name, f"downloading{share}")
    except httpx.HTTPError as error:
        raise ToolchainError(f"{tool.name}: {url}: {error}") from error
    if digest.hexdigest() != expected:
        part.unlink()
        raise ToolchainError(f"{tool.name}: {url} has the digest {digest.hexdigest()}, published is {expected}")
    part.rename(target)


def _release(tool: Tool) -> Release:
    if tool.release is None:
        raise ToolchainError(f"{tool.name}: the manifest names no release")
    return tool.release
