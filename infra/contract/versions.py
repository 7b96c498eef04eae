"""Versions that more than one place needs, read from infra/versions.toml."""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from infra.contract.errors import StellwerkError

FILE = Path(__file__).resolve().parents[1] / "versions.toml"
# Where the local node's image store has the platform images: built on the node, pulled from nowhere.
LOCAL_IMAGES = "stellwerk.local"
# 2026-01-01: every file of a built image carries it, so that the same content gives the same digest.
EPOCH = 1767225600


@lru_cache
def versions(file: Path = FILE) -> Mapping[str, str]:
    """Return every version by name."""
    by_name: Mapping[str, str] = tomllib.loads(file.read_text(encoding="utf-8"))["versions"]
    return by_name


def version(name: str) -> str:
    """Return the version of `name`; raise StellwerkError when versions.toml has none."""
    try:
        return versions()[name]
    except KeyError:
        raise StellwerkError(
            f"{FILE}: no version of {name!r}; add a line, or use one of {', '.join(versions())}"
        ) from None


def platform_image(name: str) -> str:
    """Return the reference of a platform image on the local node, such as `stellwerk.local/traefik:<version>`."""
    return f"{LOCAL_IMAGES}/{name}:{version(name)}"


def public_image(name: str) -> str | None:
    """Return where the public has a platform image of this version, None where nobody publishes it."""
    known: Mapping[str, str] = tomllib.loads(FILE.read_text(encoding="utf-8"))["public"]
    return known[name].format(version=version(name)) if name in known else None
