"""What the local cluster needs before it starts: the tools, and the base of the images that are built here."""

from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from infra.local import base_image
from infra.local.cluster.layout import Layout
from infra.local.cluster.preflight import check
from infra.local.toolchain import ensure, inspect
from infra.local.toolchain.paths import build_contexts, cache, set_link


def prepare(layout: Layout, console: Console) -> None:
    """Gets what is missing; the base image's root file system is made while Go compiles.

    Raises ClusterError before anything starts when the machine lacks something, ToolchainError or BaseImageError
    when something can't be had.
    """
    check(layout, tools_missing=any(tool.found is None for tool in inspect()))
    if not _builds_base():
        ensure(console=console)
        return
    context = cache() / "base-python"
    ensure(["debootstrap"], console)
    with ThreadPoolExecutor(1) as pool:
        base = pool.submit(base_image.make, context, console.print)
        ensure(console=console)
        base.result()
    set_link(build_contexts() / "base-python", context)


def _builds_base() -> bool:
    """Whether an environment builds its Python base here instead of pulling one."""
    from infra.values import ENVIRONMENTS, from_file

    images = [from_file(name).environment.images for name in ENVIRONMENTS]
    return any(image.base_python is not None and image.base_python.build for image in images)
