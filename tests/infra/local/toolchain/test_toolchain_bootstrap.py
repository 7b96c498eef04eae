"""infra/local/bootstrap with a fake uv."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from infra.local.toolchain.paths import HOME

UV = """#!/bin/sh
[ "$1" = --version ] && exit 0
echo "$*" >>"$UV_CALLS"
case "$1" in venv) mkdir -p .venv/bin; ln -sf "$REAL_PYTHON" .venv/bin/python ;; esac
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root, tools = tmp_path / "repo", tmp_path / "bin"
    (root / "infra" / "local").mkdir(parents=True)
    (root / "requirements").mkdir()
    tools.mkdir()
    shutil.copy(HOME.parent / "bootstrap", root / "infra" / "local" / "bootstrap")
    (root / "requirements" / "dev.txt").write_text(
        "a==1 \\\n    --hash=sha256:0\nuv==0.1 \\\n    --hash=sha256:1\nz==1\n"
    )
    (root / "pyproject.toml").write_text("")
    (tools / "uv").write_text(UV)
    (tools / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("REAL_PYTHON", sys.executable)
    monkeypatch.setenv("UV_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return root


def _bootstrap(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tree / "infra" / "local" / "bootstrap"], capture_output=True, text=True, check=False)


def test_runs_again_only_when_inputs_changed(tree: Path) -> None:
    calls = tree.parent / "calls"
    assert _bootstrap(tree).returncode == 0
    words = [line.split()[:2] for line in calls.read_text().splitlines()]
    assert words == [["venv", "--quiet"], ["pip", "sync"], ["pip", "install"]]
    assert "--require-hashes requirements/dev.txt" in calls.read_text()
    assert _bootstrap(tree).stdout == "" and len(calls.read_text().splitlines()) == 3
    (tree / "pyproject.toml").write_text("# changed\n")
    assert _bootstrap(tree).returncode == 0 and len(calls.read_text().splitlines()) == 5


def test_an_interrupted_sync_is_done_again(tree: Path) -> None:
    assert _bootstrap(tree).returncode == 0
    (tree.parent / "bin" / "uv").write_text('#!/bin/sh\n[ "$1" = --version ]\n')
    (tree / "pyproject.toml").write_text("# changed\n")
    failed = _bootstrap(tree)
    assert failed.returncode == 1 and "is the package index reachable" in failed.stderr
    (tree.parent / "bin" / "uv").write_text(UV)
    (tree / "pyproject.toml").write_text("")
    assert "Python environment" in _bootstrap(tree).stdout


def test_without_uv_and_venv_the_package_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree.parent / "bin" / "uv").unlink()
    python = tree.parent / "bin" / "python3"
    python.write_text(
        '#!/bin/sh\ncase "$*" in *sys.executable*) echo "$0" ;; *ensurepip*) exit 1 ;;\n'
        f'*) exec "{sys.executable}" "$@" ;; esac\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("PYTHON", str(python))
    failed = _bootstrap(tree)
    assert failed.returncode == 1
    assert "lacks the venv module; install it (Debian: apt-get install python3-venv)" in failed.stderr
    assert not (tree / ".venv").exists()


def test_an_old_python_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tree.parent / "bin" / "python3"
    python.write_text(
        '#!/bin/sh\ncase "$*" in *sys.executable*) echo "$0" ;; -V) echo "Python 3.9.2" ;; *) exit 1 ;; esac\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("PYTHON", str(python))
    failed = _bootstrap(tree)
    assert failed.returncode == 1 and "Python 3.9.2; Python 3.11 or newer is needed" in failed.stderr
    assert not (tree / ".venv").exists()


def test_what_is_compiled_at_once_is_installed() -> None:
    text = (HOME.parent / "bootstrap").read_text().replace("\\\n", "")
    (names,) = re.findall(r'^compiled="(.*)"$', text, re.MULTILINE)
    packages = Path(sysconfig.get_paths()["purelib"])
    assert [name for name in names.split() if not (packages / name).exists()] == []
