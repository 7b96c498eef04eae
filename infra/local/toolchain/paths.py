"""Where the toolchain keeps its results. Nothing outside the standard library: every command imports this."""

import os
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from infra.contract import versions

HOME = Path(__file__).parent
CHECKOUT = Path(__file__).resolve().parents[3]
MANIFEST = HOME / "manifest.toml"
MODULES = HOME / "modules"
# Like .venv it has the same place below every checkout.
LINK = CHECKOUT / ".toolchain"


def cache() -> Path:
    """Return `$XDG_CACHE_HOME/stellwerk`, else `~/.cache/stellwerk`."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "stellwerk"


def digest(*roots: Path) -> str:
    """Return the SHA-256 (hex) of names and contents of all files at or below `roots`."""
    total = sha256()
    for root in roots:
        files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        for path in files:
            content = path.read_bytes()
            total.update(f"{path.relative_to(root.parent)}\0{len(content)}\0".encode())
            total.update(content)
    return total.hexdigest()


@lru_cache
def manifest_digest(manifest: Path = MANIFEST, modules: Path = MODULES, versions: Path = versions.FILE) -> str:
    """Return the name of the set of tools: two checkouts with different pins never share a view."""
    return digest(manifest, modules, versions)[:16]


def view() -> Path:
    """Return the folder of links to the tools of this checkout's manifest."""
    return cache() / "toolchains" / manifest_digest()


def bin_folder() -> Path:
    """Return the folder of the commands, to be put on PATH."""
    return view() / "bin"


def cni_folder() -> Path:
    """Return the folder of the CNI plugins."""
    return view() / "cni"


def manifests_folder() -> Path:
    """Return the folder of Kubernetes manifests, a folder for each tool that has some."""
    return view() / "manifests"


def build_contexts() -> Path:
    """Return the folder of images' build contexts: `elasticsearch`, the unpacked server; `base-python`."""
    return view() / "build-contexts"


def set_link(link: Path, target: str | Path) -> None:
    """Make or move a link without a moment in which there is none, also while another process does."""
    if link.is_symlink() and link.readlink() == Path(target):
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    staged = link.with_name(f".{link.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    staged.symlink_to(target)
    staged.rename(link)
