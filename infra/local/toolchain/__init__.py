"""The pinned tools: found on PATH, downloaded, or built from Go modules, once per machine.

`ensure` gets tools, `inspect` reports what exists. Results live in `~/.cache/stellwerk` (XDG_CACHE_HOME respected).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.paths import bin_folder, cni_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from infra.local.toolchain.builder import Toolchain
    from infra.local.toolchain.inspection import ToolStatus

__all__ = ["PARTS", "ToolchainError", "ensure", "inspect", "installed_cluster_tools", "of_parts", "version"]

# Who needs a tool: the local node, the stacks, elastic pools of the local node, tests.
PARTS = ("cluster", "stacks", "elastic", "tests")

# The functions import what they need when called: every `stellwerk` command loads this
# package for its paths, and HTTP client, models and progress display would cost it 0.3 s.


def ensure(
    names: "Sequence[str] | None" = None,
    console: "Console | None" = None,
    jobs: int = 0,
    ready: "Callable[[], object] | None" = None,
    *,
    elastic: bool = False,
) -> "Toolchain":
    """Get the tools called `names` (the usual ones when None, `elastic`: and elastic pools') and return their paths.

    `jobs` bounds parallel compilation; 0 means one per core. Where others are still to be got, `ready` is called beside
    that as soon as the local cluster's tools are there. Raises ToolchainError, or what `ready` raises.
    """
    from infra.local.toolchain.builder import ensure as get
    from infra.local.toolchain.manifest import load

    if names is None and elastic:
        names = [tool.name for tool in load().wanted(elastic=True) if tool is not load().compiler]
    return get(load(), names, console, jobs, ready)


def inspect(*, elastic: bool = False) -> "list[ToolStatus]":
    """Return every usual tool, and elastic pools' (`elastic`): wanted, found, from where, how a missing one is got."""
    from infra.local.toolchain.inspection import inspect as look
    from infra.local.toolchain.manifest import load

    return look(load(), elastic=elastic)


def of_parts(parts: "Sequence[str]") -> list[str]:
    """Return the names of the tools of these parts (PARTS)."""
    from infra.local.toolchain.manifest import load

    return [tool.name for tool in load().tools if tool.part in parts]


def version(name: str) -> str:
    """Return the pinned version of tool `name`; raise ToolchainError for an unknown name."""
    from infra.local.toolchain.manifest import load

    return load().tool(name).version


def installed_cluster_tools() -> tuple[Path, Path]:
    """Return the `bin` folder and the folder of the CNI plugins that the local cluster runs from."""
    return bin_folder(), cni_folder()
