"""What `stellwerk doctor` says about the tools, without changing anything."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from infra.local.toolchain.manifest import Manifest, Tool
from infra.local.toolchain.paths import cache
from infra.local.toolchain.plan import DOWNLOADS, GO_MODULES, Plan
from infra.local.toolchain.store import Installed, View


@dataclass(frozen=True)
class ToolStatus:
    """`installed` and `source` are None when the tool is missing; `how` it would be got, None when it is not available.

    `problem` says why not, or what is wrong with an installed one.
    """

    name: str
    wanted: str
    installed: str | None
    source: str | None
    path: str | None
    how: str | None
    problem: str | None

    @property
    def ok(self) -> bool:
        return self.installed is not None or self.how is not None


def inspect(manifest: Manifest, *, elastic: bool = False) -> list[ToolStatus]:
    """Return one status per wanted tool, in the manifest's order; takes some two seconds without a network."""
    wanted = manifest.wanted(elastic=elastic)
    plan = Plan(manifest)
    record = View(cache() / "toolchains" / manifest.digest).read()
    plan.context.hosts.check(tool.expand(tool.release.url) for tool in wanted if tool.release)

    def look(tool: Tool) -> ToolStatus:
        recorded = record.get(tool.name)
        entry = recorded if recorded and recorded.intact() else plan.present(tool)
        return _found(tool, entry) if entry else _missing(tool, plan)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(look, wanted))


def _found(tool: Tool, entry: Installed) -> ToolStatus:
    path = next(iter(entry.files.values()))
    return ToolStatus(tool.name, tool.version, entry.version, entry.source, path, None, None)


def _missing(tool: Tool, plan: Plan) -> ToolStatus:
    how = next((DOWNLOADS[source][0] for source in DOWNLOADS if plan.usable(tool, source)), None)
    if how is None and tool.go:
        how = f"{GO_MODULES}, about {tool.cold_seconds} s"
    return ToolStatus(tool.name, tool.version, None, None, None, how, plan.reasons(tool) or None)
