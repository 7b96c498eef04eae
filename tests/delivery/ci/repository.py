"""A team's repository with a bare remote, whose environments were applied; pull requests are branches of it."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from delivery.clock import Clock
from delivery.commands.app import main
from delivery.project import Project
from delivery.session import LocalCluster, Session
from infra.contract.release import Releases
from tests.delivery.ci.applied import Applied, applied
from tests.support.checkout import FIRST, MODEL, write_release
from tests.support.documents import yaml

# What git makes of equal content is equal then.
_WHO = {
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_AUTHOR_NAME": "somebody", "GIT_AUTHOR_EMAIL": "somebody@example.test",
    "GIT_COMMITTER_NAME": "somebody", "GIT_COMMITTER_EMAIL": "somebody@example.test",
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
}  # fmt: skip


class NewYear(Clock):
    """A clock that stands."""

    def time(self) -> float:
        return 1767225600


def git(root: Path, *arguments: str) -> str:
    """Run git as somebody, at a time of its own."""
    done = subprocess.run(
        ["git", *arguments], cwd=root, env={**os.environ, **_WHO}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(root: Path, message: str, *paths: str) -> str:
    """Commit what was changed, and return the commit's id."""
    git(root, "add", *(paths or (".",)))
    git(root, "commit", "--quiet", "-m", message)
    return git(root, "rev-parse", "HEAD")


@dataclass(frozen=True)
class Repository:
    """The team's checkout, on `main`; `pull_request` leaves it there again."""

    applied: Applied
    remote: Path

    @property
    def root(self) -> Path:
        return self.applied.root

    def release(self, root: Path, release: str, change: Callable[[Any], None] = lambda _: None) -> None:
        """Write a release of the model into a checkout, trained from one of the two commits to it."""
        releases = Releases(root / "stacks" / "releases")
        write_release(releases, MODEL, release)
        file = releases.file(MODEL, release)
        document = yaml().load(file)
        commits = git(root, "log", "--format=%H", "--reverse", "--", "models").split()
        document["training"]["commit"] = commits[0 if release == FIRST else 1]
        change(document)
        yaml().dump(document, file)


def make(folder: Path) -> Repository:
    """Make the repository: two commits to the model, then the environment prod, applied with the first release."""
    made = applied(folder)
    root, remote = made.root, folder / "remote.git"
    git(folder, "init", "--quiet", "--bare", "--template=", str(remote))
    git(root, "init", "--quiet", "--template=", "--initial-branch=main")
    git(root, "remote", "add", "origin", str(remote))
    commit(root, "The model", "models")
    with (root / "models" / MODEL / "train.py").open("a") as file:
        file.write("# more rows\n")
    commit(root, "Train on the rows of December, too", "models")
    repository = Repository(made, remote)
    repository.release(root, FIRST)
    made.checkout.point("prod", FIRST)
    made.checkout.edit("prod", lambda values: values["nodePools"][0].update(pricePerHour=12.5))
    made.apply("prod")
    commit(root, "Environments")
    git(root, "push", "--quiet", "origin", "main")
    return repository


def run(
    root: Path, variables: Mapping[str, str], capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Run the command in a checkout; return exit code, standard output and standard error."""
    session = Session(Project(root), variables, LocalCluster(dict, lambda _: None, lambda: None), NewYear())
    with pytest.raises(SystemExit) as ended:
        main(arguments, lambda: session, root.parent / "state")
    captured = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.out, captured.err
