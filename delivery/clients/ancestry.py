"""Commits with their messages, and what of the checkout stood in git when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from delivery.clients.git import Git
from infra.revision import pathspecs

# Between the parts of a commit, and between commits: neither can stand in a message.
_PART, _END = "\x1f", "\x1e"
_FORMAT = f"--format=%H{_PART}%an{_PART}%cI{_PART}%s{_PART}%B{_END}"


@dataclass(frozen=True)
class Record:
    """A commit: its id, author, time (RFC 3339), the first line of its message, and all of it."""

    id: str
    author: str
    time: str
    subject: str
    message: str


class Ancestry(Git):
    """The commits of a checkout's repository."""

    def known(self, commit: str) -> bool:
        """Return whether this checkout has the commit."""
        return self._run("cat-file", "-e", f"{commit}^{{commit}}") is not None

    def log(self, newest: Iterable[str], without: Iterable[str], sources: Sequence[str]) -> list[Record]:
        """Return the commits to these sources that some have and the others have not, the newest first."""
        left_out = (f"^{commit}" for commit in without)
        return self._records("log", _FORMAT, "--end-of-options", *newest, *left_out, *pathspecs(sources))

    def one(self, commit: str) -> Record:
        """Return a commit that is known."""
        return self._records("log", "-1", _FORMAT, "--end-of-options", commit)[0]

    def of_file(self, path: str) -> list[Record]:
        """Return the commits that have changed a file, the newest first."""
        return self._records("log", _FORMAT, "--", path)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Return whether a commit is another one, or comes after it."""
        return self._run("merge-base", "--is-ancestor", ancestor, commit) is not None

    def content(self, commit: str, path: str) -> bytes | None:
        """Return a file as it is checked out at a commit; None where it was not there."""
        return self._run("cat-file", "--filters", f"{commit}:./{path}")

    @property
    def is_repository(self) -> bool:
        """Return whether the checkout is one of git's, with a commit."""
        return self._run("rev-parse", "--verify", "--quiet", "HEAD") is not None

    def _records(self, *arguments: str) -> list[Record]:
        text = (self._run(*arguments) or b"").decode(errors="replace")
        return [Record(*commit.strip("\n").split(_PART, 4)) for commit in text.split(_END) if commit.strip("\n")]
