"""A release server, a cache and manifests for each test."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.toolchain import hosts
from infra.local.toolchain.manifest import Manifest, load
from tests.support.toolchain import GO, MakeManifest, ReleaseServer


@pytest.fixture
def releases() -> Iterator[ReleaseServer]:
    server = ReleaseServer()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own; Go's build cache stays the machine's, or each test would compile the standard library."""
    go_cache = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("GOCACHE", go_cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "stellwerk"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers is heard, however busy the machine is: only one that says nothing is waited for so long."""
    monkeypatch.setattr(hosts, "PATIENCE_S", 60.0)


@pytest.fixture
def make_manifest(tmp_path: Path) -> MakeManifest:
    """Writes manifest and module groups ({path: content}) and loads them."""
    count = iter(range(100))

    def make(tools: str, modules: dict[str, str] | None = None) -> Manifest:
        root = tmp_path / f"tree{next(count)}"
        (root / "modules").mkdir(parents=True)
        for path, content in (modules or {}).items():
            (root / "modules" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "modules" / path).write_text(content)
        (root / "manifest.toml").write_text(GO + tools)
        return load(root / "manifest.toml", root / "modules")

    return make
