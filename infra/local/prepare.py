"""What the local cluster needs before it starts: the tools, and the base of the images that are built here."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from infra.local import base_image
from infra.local.cluster.layout import Layout
from infra.local.cluster.preflight import check
from infra.local.toolchain import ensure, inspect
from infra.local.toolchain.paths import build_contexts, cache, set_link
from infra.targets.needs import Needs


def prepare(layout: Layout, needs: Needs, console: Console, node: Callable[[], object] | None = None) -> None:
    """Get what is missing; the base image's root file system is made while Go compiles.

    `node` starts the node; it is called where its tools are there and others still compile. Raises ClusterError before
    anything starts when the machine lacks something, ToolchainError or BaseImageError when something cannot be
    obtained, and what `node` raises.
    """
    elastic = bool(needs.instance_types)
    check(layout, needs, tools_missing=any(tool.installed is None for tool in inspect(elastic=elastic)))
    if not needs.builds_base:
        ensure(console=console, ready=node, elastic=elastic)
        return
    context = cache() / "base-python"
    ensure(["debootstrap"], console)
    with ThreadPoolExecutor(1) as pool:
        base = pool.submit(base_image.make, context, console.print)
        ensure(console=console, ready=node, elastic=elastic)
        base.result()
    set_link(build_contexts() / "base-python", context)
