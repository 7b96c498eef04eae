"""The history of the checkout, by git's own command line."""

import io
import os
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
class Version:
    """A file as a commit has left it, None where it was removed; `time` is in seconds since 1970."""

    commit: Commit
    author: str
    time: float
    text: str | None


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

    def versions(self, file: str) -> list[Version]:
        """Return each version of a file, oldest first, as the checked out branch has had it: what came by a merge came
        with it. None outside git, and where the history does not reach back.
        """
        form = "--format=%H%x00%ct%x00%aN <%aE>%x00%s"
        log = self._run("log", "--first-parent", "--reverse", form, "--", file)
        if not log:
            return []
        heads = [line.split("\0") for line in log.decode(errors="replace").splitlines()]
        names = "".join(f"{commit}:./{file}\n" for commit, *_ in heads)
        blobs = io.BytesIO(self._run("cat-file", "--batch", given=names.encode()) or b"")
        return [
            Version(Commit(commit, subject), author, float(time), _blob(blobs))
            for commit, time, author, subject in heads
        ]

    def text(self, revision: str, file: str) -> str | None:
        """Return a file's text as of a revision; None where there is none, and outside git."""
        content = self._run("cat-file", "blob", f"{revision}:./{file}")
        return None if content is None else content.decode(errors="replace")

    def place(self) -> tuple[Path, Path]:
        """Return the top of the repository and the checkout's path in it; outside git the checkout is the top."""
        answer = self._run("rev-parse", "--show-toplevel", "--show-prefix")
        if answer is None:
            return self.root, Path()
        top, prefix, *_ = os.fsdecode(answer).split("\n")
        return Path(top), Path(prefix)

    @property
    def is_shallow(self) -> bool:
        """Return whether the history is cut off."""
        return self._run("rev-parse", "--is-shallow-repository") == b"true\n"

    def identity(self) -> str | None:
        """Return who works in this checkout, as a commit would name them; None where git does not know."""
        known = self._run("var", "GIT_COMMITTER_IDENT")
        # Behind it stands the time.
        return known.decode(errors="replace").rpartition(">")[0] + ">" if known else None

    def address(self, remote: str) -> str | None:
        """Return the address of a remote, with whatever login stands in it; None where there is no such remote."""
        answer = self._run("remote", "get-url", "--", remote)
        return None if answer is None else answer.decode(errors="replace").strip()

    def _run(self, *arguments: str, given: bytes | None = None) -> bytes | None:
        """Return the output of a command; None where it fails."""
        try:
            done = subprocess.run(
                ["git", "--no-optional-locks", *arguments],
                cwd=self.root, env=variables_of_no_hook(), input=given, capture_output=True, check=False,
            )  # fmt: skip
        except OSError as error:
            raise not_runnable("git", error) from None
        return done.stdout if done.returncode == 0 else None


def _blob(answers: io.BytesIO) -> str | None:
    """Return the next text of what `cat-file --batch` has answered; None where it has no such file."""
    head = answers.readline().split()
    if len(head) != 3:
        return None
    text = answers.read(int(head[2])).decode(errors="replace")
    answers.readline()
    return text
