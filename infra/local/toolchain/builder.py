"""Getting the tools: PATH, then downloads in parallel, then Go builds, each linked while the next compiles."""

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from infra.local.toolchain import gobuild, machine
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.manifest import Kind, Manifest, Tool
from infra.local.toolchain.paths import cache
from infra.local.toolchain.plan import DOWNLOADS, GO_MODULES, Plan
from infra.local.toolchain.probing import UNKNOWN_VERSION, misfit, version_of
from infra.local.toolchain.progress import Progress
from infra.local.toolchain.store import Installed, View, locked


@dataclass(frozen=True)
class Toolchain:
    """Paths by tool name (the files of a tool that has several also by theirs); `bin` belongs on PATH."""

    paths: dict[str, Path]
    bin: Path
    cni: Path


def ensure(
    manifest: Manifest,
    names: Sequence[str] | None,
    console: Console | None,
    jobs: int,
    ready: Callable[[], object] | None = None,
) -> Toolchain:
    """Get what is missing of `names`, the usual tools when None; raise ToolchainError, or what `ready` raises.

    Where others are still to be got, `ready` is called beside that as soon as the local cluster's tools are there.
    The Go compiler is got only when something must be built, or when it is named.
    """
    everything = [tool for tool in manifest.usual if tool.kind is not Kind.COMPILER]
    wanted = everything if names is None else [manifest.tool(name) for name in dict.fromkeys(names)]
    view = View(cache() / "toolchains" / manifest.digest)
    shown = console or Console(stderr=True, highlight=False)
    if _missing(wanted, view):
        machine.require_platform()
        with locked(cache() / "lock", lambda pid: shown.print(f"waiting for process {pid}, which gets tools too")):
            missing = _missing(wanted, view)
            if missing:
                with Progress(shown, missing) as progress, ThreadPoolExecutor(4) as pool:
                    Run(Plan(manifest, jobs), view, progress, pool).get(missing, ready)
    record = view.read()
    paths: dict[str, Path] = {}
    for tool in wanted:
        files = {name: Path(path) for name, path in record[tool.name].files.items()}
        paths |= {tool.name: next(iter(files.values())), **files}
    return Toolchain(paths, view.bin, view.cni)


def _missing(tools: Sequence[Tool], view: View) -> list[Tool]:
    record = view.read()
    return [tool for tool in tools if tool.name not in record or not record[tool.name].intact()]


class Run:
    """One run under the lock."""

    def __init__(self, plan: Plan, view: View, progress: Progress, pool: ThreadPoolExecutor) -> None:
        self._plan, self._view, self._progress, self._pool = plan, view, progress, pool
        self._recording = threading.Lock()
        self._prefetched: set[str] = set()
        self._lacking: set[str] = set()
        self._ready: Callable[[], object] | None = None
        self._started: Future[object] | None = None
        # What a killed run left is removed as far as its last compiler lets go of it; nothing of it is used.
        shutil.rmtree(plan.context.work, ignore_errors=True)
        plan.context = replace(plan.context, work=plan.context.work / str(os.getpid()), note=progress.note)
        plan.context.work.mkdir(parents=True)

    def get(self, tools: list[Tool], ready: Callable[[], object] | None = None) -> None:
        """Get `tools`, recording each when it is installed; raise ToolchainError at the first that is not available."""
        self._lacking, self._ready = {tool.name for tool in tools if tool.part in ("cluster", "elastic")}, ready
        self._start_when_ready()
        asking = self._pool.submit(
            self._plan.context.hosts.check, [tool.expand(tool.release.url) for tool in tools if tool.release]
        )
        missing = [tool for tool, taken in zip(tools, self._pool.map(self._take, tools), strict=True) if not taken]
        asking.result()
        downloads = [tool for tool in missing if any(self._plan.usable(tool, source) for source in DOWNLOADS)]
        builds = [tool for tool in missing if tool not in downloads]
        self._require(builds)
        self._progress.planned(self._plan.context.hosts.silent(), builds)
        try:
            self._work(downloads, deque(builds))
            shutil.rmtree(self._plan.context.work, ignore_errors=True)
            if self._started:
                self._started.result()
        except BaseException:
            self._pool.shutdown(wait=False, cancel_futures=True)
            raise

    def _take(self, tool: Tool) -> bool:
        entry = self._plan.present(tool)
        if entry:
            self._record(tool, entry, built=False)
        return entry is not None

    def _require(self, builds: Sequence[Tool]) -> None:
        """Raise ToolchainError naming every tool that is not available, before anything long starts."""
        unavailable = [
            f"- {tool.name} {tool.version}: {self._plan.reasons(tool)}" for tool in builds if tool.go is None
        ]
        if unavailable:
            raise ToolchainError("these tools are not available on this machine:\n" + "\n".join(unavailable))
        if builds:
            machine.require_space_for_builds()

    def _work(self, downloads: Sequence[Tool], builds: deque[Tool]) -> None:
        """Download in the pool; compile here, where an interrupt reaches the compiler, and link in the pool."""
        running: dict[Future[bool], Tool] = {self._pool.submit(self._download, tool): tool for tool in downloads}
        linking: Future[None] | None = None
        while builds or running:
            ended, _ = wait(running, timeout=0 if builds else None, return_when=FIRST_COMPLETED)
            for future in ended:
                tool = running.pop(future)
                if not future.result():
                    builds.append(tool)
            if builds:
                linking = self._build(builds.popleft(), builds, linking)
        if linking:
            linking.result()

    def _download(self, tool: Tool) -> bool:
        """Try the download sources in turn; False when Go modules are left to try."""
        for source, (label, _, fetch) in DOWNLOADS.items():
            if not self._plan.usable(tool, source):
                continue
            self._progress.start(tool, label)
            try:
                self._keep(tool, source, partial(fetch, tool, context=self._plan.context))
            except ToolchainError as error:
                self._plan.blame(tool, str(error))
                self._progress.failed(tool, str(error), self._following(tool, source))
            else:
                return True
        if tool.go is None:
            raise ToolchainError(f"{tool.name} {tool.version} is not available: {self._plan.reasons(tool)}")
        return False

    def _following(self, tool: Tool, source: str) -> str | None:
        """Return the source that is tried after `source`, None when there is none."""
        later = list(DOWNLOADS)[list(DOWNLOADS).index(source) + 1 :]
        label = next((DOWNLOADS[name][0] for name in later if self._plan.usable(tool, name)), None)
        return label or (GO_MODULES if tool.go else None)

    def _build(self, tool: Tool, waiting: Sequence[Tool], linking: Future[None] | None) -> Future[None]:
        """Compile `tool` while the one before it is linked, wait for that, and return when this one is being linked.

        One linker at a time: each takes more memory than a compiler, and leaves a core idle half of the time.
        """
        if self._plan.go() is None:
            self._download(self._plan.manifest.compiler)
        go = self._plan.go()
        if go is None:
            raise ToolchainError(f"{tool.name}: no go command: {self._plan.reasons(self._plan.manifest.compiler)}")
        self._prefetch(tool, waiting, go)
        began = time.monotonic()
        self._progress.start(tool, GO_MODULES)
        try:
            group = gobuild.compile_packages(tool, go, self._plan.context)
        finally:
            # What was linked meanwhile is kept, whatever becomes of this one.
            if linking:
                linking.result()
        finish = partial(gobuild.link, tool, group=group, go=go, context=self._plan.context)
        return self._pool.submit(self._keep, tool, "go", finish, began)

    def _prefetch(self, tool: Tool, waiting: Sequence[Tool], go: gobuild.Go) -> None:
        """Download for the group after this one while this one compiles."""
        following = next((t.go.group for t in waiting if t.go and tool.go and t.go.group != tool.go.group), None)
        if following and following not in self._prefetched:
            self._prefetched.add(following)
            members = [t for t in waiting if t.go and t.go.group == following]
            # A failure needs no telling here: the build that lacks the modules tells it.
            self._pool.submit(gobuild.prefetch, members, go, self._plan.context)

    def _keep(self, tool: Tool, source: str, fetch: Callable[[Path], None], began: float | None = None) -> None:
        """Run `fetch` into a fresh folder, check what it made and move it into the store.

        `began` is when the work on it did, where that was before.
        """
        began = time.monotonic() if began is None else began
        folder = self._plan.context.work / f"{tool.name}.result"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            fetch(folder)
        except OSError as error:
            raise ToolchainError(f"{tool.name}: {error}") from error
        label = DOWNLOADS[source][0] if source in DOWNLOADS else GO_MODULES
        if source == "debian" and tool.debian and tool.debian.install:
            entry = self._plan.installed(tool)
            if entry is None:
                raise ToolchainError(f"{tool.name}: {tool.debian.package} was installed; {self._plan.reasons(tool)}")
            entry = replace(entry, source=label, seconds=round(time.monotonic() - began, 1))
        else:
            version = verify(tool, label, folder)
            go = self._plan.go() if source == "go" else None
            key = self._plan.go_key(tool, go) if go else self._plan.store.key(tool, source)
            entry = self._plan.store.place(key, folder, tool, version, label, time.monotonic() - began)
        self._record(tool, entry, built=source == "go")

    def _record(self, tool: Tool, entry: Installed, built: bool) -> None:
        with self._recording:
            self._view.add(self._plan.manifest, {tool.name: entry})
            self._lacking.discard(tool.name)
        self._progress.done(tool, entry.version, entry.source, built)
        self._start_when_ready()

    def _start_when_ready(self) -> None:
        with self._recording:
            if self._ready and not self._lacking:
                self._started, self._ready = self._pool.submit(self._ready), None


def verify(tool: Tool, source: str, folder: Path) -> str:
    """Make the files executable and return their version; raise ToolchainError when they do not fit."""
    if tool.is_folder:
        if not any(folder.iterdir()):
            raise ToolchainError(f"{tool.name}: nothing came from the {source}")
        return (version_of(tool, folder / "bin" / tool.name) if tool.path else None) or tool.version
    files = {name: folder / name for name in tool.outputs}
    for name, path in files.items():
        if not path.is_file():
            raise ToolchainError(f"{tool.name}: the {source} has no {name}")
        path.chmod(0o755)
    version = version_of(tool, next(iter(files.values())))
    reason = misfit(tool, files, version)
    if reason or version is None:
        raise ToolchainError(f"{tool.name}: what came from the {source} {reason}; {tool.version} is wanted")
    if source == GO_MODULES and tool.go and tool.go.version:
        return tool.go.version
    # A distribution chooses the version of its packages itself.
    return UNKNOWN_VERSION if source == DOWNLOADS["debian"][0] and not (tool.path and tool.path.pattern) else version
