"""Building tools from the Go module groups in modules/, whose go.mod and go.sum pin every source."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from infra.local.toolchain.context import Context, run
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.gosettings import collector, flags
from infra.local.toolchain.manifest import GoModule, Patch, Tool, numbers
from infra.local.toolchain.paths import digest
from infra.local.toolchain.store import Installed

# Prints no packages; an empty format would print them all.
_NOTHING = "{{/* nothing */}}"


@dataclass(frozen=True)
class Go:
    """The go command; `version` like 1.2.3 is the compiler that it runs, after any switch."""

    command: Path
    version: str
    environment: dict[str, str]


def toolchain(tool: Tool, entry: Installed) -> Go:
    """Return the compiler `entry`; an older one than the pinned fetches that itself, through the module proxy."""
    path = Path(entry.files[tool.name])
    command = path / "bin" / "go" if path.is_dir() else path
    enough = numbers(entry.version) >= numbers(tool.version)
    version = entry.version if enough else tool.version
    environment = {
        # What the user's go configuration sets for other work must not change these builds;
        # an empty GOFLAGS would let it through.
        "GOFLAGS": "-mod=readonly",
        "GOWORK": "off",
        "GOTOOLCHAIN": "local" if enough else f"go{version}",
        "CGO_ENABLED": "0",
        "GOOS": "linux",
        "GOARCH": "amd64",
    }
    return Go(command, version, environment)


def group_digest(tool: Tool, context: Context) -> str:
    """Return the SHA-256 over the group's go.mod, go.sum and sources."""
    return digest(context.manifest.modules / _module(tool).group)


def compile_packages(tool: Tool, go: Go, context: Context) -> Path:
    """Compile the packages of `tool` into Go's cache, all but linking; return the folder to link in.

    Raises ToolchainError with the command and its last lines.
    """
    module = _module(tool)
    group = context.work / f"{tool.name}.group"
    shutil.copytree(context.manifest.modules / module.group, group)
    if module.embed:
        carried = _module_folder(tool, module.module, group, go, context)
        for name, source in module.embed.items():
            shutil.copyfile(carried / source, group / name)
    if module.package:
        for number, patch in enumerate(module.patch or []):
            original = _module_folder(tool, patch.module, group, go, context)
            replaced = f"-replace={patch.module}={_patched(tool, patch, original, group / f'patched{number}')}"
            run(tool.name, [go.command, "mod", "edit", replaced], context, cwd=group, environment=go.environment)
        context.note(tool.name, "compiling")
        # `go build` would link, too, and one core would wait for that.
        words = ["list", "-export", "-deps", *flags(context.jobs), "-f", _NOTHING, module.package]
        _go(tool, words, group, go, context)
    return group


def link(tool: Tool, into: Path, group: Path, go: Go, context: Context) -> None:
    """Link the command of `tool`, compiled in the folder `group`, into `into`; add the files its module carries.

    Raises ToolchainError with the command and its last lines.
    """
    module = _module(tool)
    if module.copy_files:
        carried = _module_folder(tool, module.module, group, go, context)
        for name, source in module.copy_files.items():
            _copy(carried / source, into / name)
    if module.package:
        context.note(tool.name, "linking")
        linker = f"-s -w {tool.expand(module.ldflags)}".rstrip()
        words = ["build", *flags(context.jobs), "-ldflags", linker, "-o", str(into / tool.name), module.package]
        _go(tool, words, group, go, context)
    shutil.rmtree(group)


def _go(tool: Tool, words: list[str], group: Path, go: Go, context: Context) -> None:
    environment = {**go.environment, **collector(context.jobs)}
    run(tool.name, [go.command, *words], context, cwd=group, environment=environment)


def prefetch(tools: list[Tool], go: Go, context: Context) -> None:
    """Download the modules that the packages of these tools (one group) import.

    Listing the imports fetches these modules only; `go mod download` would fetch those of their tests too.
    """
    group = _module(tools[0]).group
    packages = [_module(tool).package for tool in tools if _module(tool).package]
    folder = context.manifest.modules / group
    # Files that are embedded later are missing here: -e goes on without them.
    command: list[str | Path] = [go.command, "list", "-e", "-deps", "-f", _NOTHING, *packages]
    run(group, command, context, cwd=folder, environment=go.environment, log=f"{group}-download")


def _patched(tool: Tool, patch: Patch, original: Path, copy: Path) -> Path:
    """Return `copy`, a copy of the module with its file changed; raise ToolchainError where a pattern is absent."""
    text = (original / patch.file).read_text(encoding="utf-8")
    for pattern, replacement in patch.replace:
        text, count = re.subn(pattern, replacement, text)
        if not count:
            raise ToolchainError(f"{tool.name}: {patch.module} {patch.file} has nothing like {pattern!r} to replace")
    _copy(original, copy)
    (copy / patch.file).write_text(text, encoding="utf-8")
    return copy


def _module_folder(tool: Tool, module: str, group: Path, go: Go, context: Context) -> Path:
    context.note(tool.name, "downloading modules")
    command: list[str | Path] = [go.command, "mod", "download", "-json", module]
    answer = run(tool.name, command, context, cwd=group, environment=go.environment)
    folder = json.loads(answer).get("Dir")
    if not folder:
        raise ToolchainError(f"{tool.name}: go names no folder for the module {module}: {answer}")
    return Path(folder)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder without its modes: the module cache is read-only."""
    if not source.exists():
        raise ToolchainError(f"{source}: the module carries no such file")
    if source.is_dir():
        for path in source.rglob("*"):
            if path.is_file():
                _copy(path, target / path.relative_to(source))
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _module(tool: Tool) -> GoModule:
    if tool.go is None:
        raise ToolchainError(f"{tool.name}: the manifest names no Go module group")
    return tool.go
