"""The history of the checkout, by git's own command line."""

import io
import re
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from delivery.errors import DeliveryError, not_runnable
from infra.revision import pathspecs, variables_of_no_hook

_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")


def without_login(text: str) -> str:
    """Return a text without user names and tokens in the addresses that stand in it."""
    return _LOGIN.sub("", text)


@dataclass(frozen=True)
class Commit:
    """A commit, by its whole id and the first line of its message."""

    id: str
    subject: str


@dataclass(frozen=True)
class Git:
    """The repository of the checkout at `root`."""

    root: Path

    def commit(self, revision: str) -> str:
        """Return the id of the commit that a revision names; raise DeliveryError when there is none."""
        # An option is no revision.
        answer = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        if answer is None:
            raise DeliveryError(
                f"{revision}: git knows no such revision in {self.root}; name a commit, a branch or a tag that is "
                "there, or run `git fetch` first"
            )
        return answer.decode().strip()

    def export(self, commit: str, folder: str, to: Path) -> None:
        """Write a folder of the checkout into `to` as it was at a commit; raise DeliveryError when it was not there."""
        archive = self._run("archive", "--format=tar", commit, "--", folder)
        if archive is None:
            raise DeliveryError(f"{commit}: {folder}/ was not there at this revision; name one that has it")
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            # Links are left out: they could lead out of the folder.
            for member in filter(tarfile.TarInfo.isfile, files):
                content = files.extractfile(member)
                target = to / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read() if content else b"")

    def between(self, older: str, newer: str, sources: Sequence[str]) -> tuple[Commit, ...] | None:
        """Return the commits that the newer one has and the older one has not, the newest first, as far as they touch
        these sources; None where git does not know one of the two."""
        text = self._run("log", "--format=%H %s", "--end-of-options", f"{older}..{newer}", *pathspecs(sources))
        if text is None:
            return None
        lines = (line.partition(" ") for line in text.decode(errors="replace").splitlines())
        return tuple(Commit(identity, subject) for identity, _, subject in lines)

    def main_branch(self) -> str:
        """Return the branch that changes are merged into: the remote's own where a clone knows it, else a usual one."""
        if (head := self._run("rev-parse", "--abbrev-ref", "origin/HEAD")) is not None:
            return head.decode().strip().removeprefix("origin/")
        known = self._run("for-each-ref", "--format=%(refname:short)", "refs/heads/main", "refs/heads/master")
        return (known or b"").decode().partition("\n")[0] or "main"

    def head(self) -> str | None:
        """Return the id of the commit that is checked out; None without one."""
        answer = self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return answer.decode().strip() if answer else None

    def merge_base(self, one: str, other: str) -> str:
        """Return the last commit that two have in common; raise DeliveryError when there is none here."""
        answer = self._run("merge-base", "--end-of-options", one, other)
        if answer is None:
            raise DeliveryError(
                f"{one} and {other} have no commit in common in {self.root}; get the whole history (`git fetch "
                "--unshallow`, or fetch-depth 0 where a workflow checks it out)"
            )
        return answer.decode().strip()

    def changed(self, before: str, after: str) -> tuple[str, ...]:
        """Return the paths of all files that differ between two commits, those that were moved by both names."""
        text = self._run("diff", "--name-only", "--no-renames", "-z", "--end-of-options", before, after)
        if text is None:
            raise DeliveryError(f"{before} and {after} cannot be compared in {self.root}; run `git fetch` first")
        return tuple(sorted(filter(None, text.decode(errors="replace").split("\0"))))

    def has(self, commit: str, path: str) -> bool:
        """Return whether a commit has a file."""
        return self._run("cat-file", "-e", f"{commit}:{path}") is not None

    def address(self, remote: str) -> str | None:
        """Return the address of a remote, with whatever login stands in it; None where there is no such remote."""
        answer = self._run("remote", "get-url", "--", remote)
        return None if answer is None else answer.decode(errors="replace").strip()

    def _run(self, *arguments: str) -> bytes | None:
        """Return the output of a command; None where it fails."""
        try:
            done = subprocess.run(
                ["git", "--no-optional-locks", *arguments],
                cwd=self.root, env=variables_of_no_hook(), capture_output=True, check=False,
            )  # fmt: skip
        except OSError as error:
            raise not_runnable("git", error) from None
        return done.stdout if done.returncode == 0 else None
