"""The checkout is installed in place, and in no other way; an upgrade touches nothing of the team's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.toolchain.paths import CHECKOUT

_BUILT_OF = ("pyproject.toml", "README.md", "infra/local/in_place.py", "delivery/__init__.py")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a build of the project reads, in a folder that it may write to."""
    root = tmp_path / "checkout"
    for name in _BUILT_OF:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, root / name)
    return root


def test_a_wheel_is_refused_with_the_way_to_install(checkout: Path, tmp_path: Path) -> None:
    options = "--no-deps --no-index --no-build-isolation --wheel-dir"
    command = [sys.executable, "-m", "pip", "wheel", ".", *options.split(), str(tmp_path / "wheels")]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Stellwerk is not offered as a wheel" in done.stdout + done.stderr
    assert "clone the repository and run `make setup` in it" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.glob("wheels/*"))


def test_an_editable_install_leads_to_the_checkout(checkout: Path, tmp_path: Path) -> None:
    """As infra/local/bootstrap installs it: with the locked packages alone, and without an index."""
    target = tmp_path / "installed"
    uv = Path(sys.executable).with_name("uv")
    options = ["--python", sys.executable, "--target", str(target), "--editable", str(checkout)]
    command = [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation", *options]
    subprocess.run(command, check=True, env={**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache")})
    program = f"import site; site.addsitedir({str(target)!r}); import delivery; print(delivery.__file__)"
    done = subprocess.run(
        [sys.executable, "-E", "-S", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(checkout / "delivery" / "__init__.py")
    assert "from delivery.cli import main" in (target / "bin" / "stellwerk").read_text()
    copies = [path.name for path in target.iterdir() if path.is_dir() and path.name.isidentifier()]
    assert copies == ["bin"], "no top-level package is copied"


STACK = "config:\n  stellwerk:quota:\n    cpu: {cpu}\n"


def git(root: Path, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
    """git as nobody in particular, without the machine's own settings."""
    who = {"GIT_AUTHOR_NAME": "team", "GIT_AUTHOR_EMAIL": "team@example.test"}
    who |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in who.items()}
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
    )
    assert not ok or done.returncode == 0, done.stdout + done.stderr
    return done


def commit(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "change")


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """A team's clone: it has a model and values of its own, while upstream changed code and the same value."""
    upstream, clone = tmp_path / "upstream", tmp_path / "team"
    upstream.mkdir()
    git(upstream, "init", "--quiet")
    shutil.copy(CHECKOUT / ".gitattributes", upstream)
    stack = "stacks/Pulumi.dev.yaml"
    commit(upstream, {"infra/program.py": "one\n", stack: STACK.format(cpu="8")})
    git(tmp_path, "clone", "--quiet", "--origin", "upstream", str(upstream), str(clone))
    commit(clone, {"models/fraud/train.py": "ours\n", stack: STACK.format(cpu="64")})
    commit(upstream, {"infra/program.py": "two\n", stack: STACK.format(cpu="16"), "stacks/base.yaml": "new\n"})
    git(upstream, "tag", "v2")
    git(clone, "fetch", "--quiet", "--tags", "upstream")
    return clone


def test_an_upgrade_takes_the_framework_and_keeps_what_is_the_team_s(team: Path) -> None:
    git(team, "-c", "merge.team.driver=true", "merge", "--quiet", "--no-edit", "v2")
    assert (team / "infra" / "program.py").read_text() == "two\n"
    assert (team / "stacks" / "base.yaml").read_text() == "new\n"
    assert (team / "stacks" / "Pulumi.dev.yaml").read_text() == STACK.format(cpu="64")
    assert (team / "models" / "fraud" / "train.py").read_text() == "ours\n"
    assert git(team, "status", "--porcelain").stdout == ""


def test_a_merge_of_the_team_s_own_branches_hides_no_conflict(team: Path) -> None:
    """A pointer that one branch moved would be lost, unsaid."""
    done = git(team, "merge", "--no-edit", "v2", ok=False)
    assert done.returncode == 1
    assert "CONFLICT (content): Merge conflict in stacks/Pulumi.dev.yaml" in done.stdout
