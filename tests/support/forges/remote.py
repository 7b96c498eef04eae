"""A checkout with a remote, and a forge for it: for tests of what is proposed by pull request."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.contract.release import Releases
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.engine import FakeEngine
from tests.support.forges.server import TOKEN, ForgeServer, serve
from tests.support.forges.state import REPOSITORY

BRANCH = f"stellwerk/promote-{MODEL}-prod-{SECOND}"
PROMOTE = ("promote", MODEL, "--to", "prod", "--pull-request")
Git = Callable[..., str]


def git_in(folder: Path) -> Git:
    def run(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout

    return run


@pytest.fixture
def origin(tmp_path: Path) -> Git:
    """The remote: a bare repository."""
    folder = tmp_path / "origin.git"
    folder.mkdir()
    run = git_in(folder)
    run("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
    return run


@pytest.fixture
def server(origin: Git) -> Iterator[ForgeServer]:
    with serve("github", lambda branch: origin("rev-parse", f"refs/heads/{branch}").strip()) as made:
        yield made


@pytest.fixture
def git(project: Checkout, releases: Releases, origin: Git, server: ForgeServer, pulumi: FakeEngine) -> Git:
    """The checkout as a repository: test serves the second release, prod the first; only prod's is in main."""
    forge = f"{{kind: github, url: '{server.url}', repository: {REPOSITORY}, tokenVariable: FORGE_TOKEN}}"
    (project.root / "stacks" / "base.yaml").write_text(f"config:\n  stellwerk:forge: {forge}\n")
    project.point("test", SECOND, FIRST)
    project.point("prod", FIRST)
    run = git_in(project.root)
    run("init", "--quiet", "--template=", "--initial-branch=main")
    run("config", "user.name", "somebody")
    run("config", "user.email", "somebody@example.test")
    run("config", "commit.gpgsign", "false")
    run("remote", "add", "origin", origin("rev-parse", "--absolute-git-dir").strip())
    (project.root / "notes.txt").write_text("notes\n")
    (project.root / ".gitignore").write_text(f"stacks/releases/{MODEL}/{SECOND}.yaml\n")
    run("add", ".")
    run("commit", "--quiet", "-m", "everything")
    run("push", "--quiet", "origin", "main")
    dict.update(pulumi.variables, {"FORGE_TOKEN": TOKEN})  # type: ignore[arg-type]
    return run
