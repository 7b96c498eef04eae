"""The checkout of a test as a repository, by git itself."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

WHO = "Somebody <somebody@example.test>"


@dataclass(frozen=True)
class Repository:
    """A repository with an author of its own, whatever this machine has configured."""

    root: Path

    def run(self, *arguments: str, at: str | None = None) -> str:
        """Return the output of a git command, run at a time (ISO 8601) if one is given."""
        times = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at} if at else {}
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env={**os.environ, **times}, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, message: str, at: str | None = None) -> str:
        """Commit all that is there; return the commit's id."""
        self.run("add", "--all")
        self.run("commit", "--quiet", "--allow-empty", "-m", message, at=at)
        return self.run("rev-parse", "HEAD")


def repository(root: Path) -> Repository:
    """Make a folder a repository, with all that is in it committed."""
    made = Repository(root)
    made.run("init", "--quiet", "--template=", "--initial-branch=main")
    name, _, mail = WHO.rstrip(">").partition(" <")
    for key, value in (("user.name", name), ("user.email", mail), ("commit.gpgsign", "false")):
        made.run("config", key, value)
    made.commit("everything", at="2026-01-01T00:00:00Z")
    return made
