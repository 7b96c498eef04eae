"""Commits on branches of the remote, made and pushed beside the checkout, whose files and index stay as they are."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from delivery.clients.git import without_login
from delivery.errors import DeliveryError, not_runnable, system_errors
from infra.revision import variables_of_no_hook
from infra.targets.variables import WORK

_HEADS = "refs/heads/"
_FILE = "100644"
_LINES = 8
# Who makes a commit, which a hook would not change.
_IDENTITY = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")


@dataclass(frozen=True)
class Branches:
    """The remote's branch that changes go into, with its commit, and the commit of another, None where it is not."""

    main: str
    base: str
    other: str | None


@dataclass(frozen=True)
class Commits:
    """The repository of the checkout at `root`, and its remote; `work` is a folder for temporary files."""

    root: Path
    remote: str
    work: Path

    def branches(self, other: str) -> Branches:
        """Fetch the remote's default branch and another one; raise DeliveryError when that fails."""
        listed = self._ask("reading", "ls-remote", "--symref", self.remote, "HEAD", f"{_HEADS}{other}")
        lines = [line.split("\t") for line in listed.splitlines()]
        main = next((left.removeprefix(f"ref: {_HEADS}") for left, _ in lines if left.startswith("ref: ")), None)
        ids = {name: left for left, name in lines if not left.startswith("ref: ")}
        if main is None or "HEAD" not in ids:
            raise DeliveryError(f"the remote `{self.remote}` has no default branch yet; push one, and set it there")
        tip = ids.get(f"{_HEADS}{other}")
        wanted = [f"{_HEADS}{main}", *([f"{_HEADS}{other}"] if tip else [])]
        self._ask("fetching from", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", self.remote, *wanted)
        return Branches(main, ids["HEAD"], tip)

    def read(self, commit: str, path: str) -> bytes | None:
        """Return a file of the checkout as a commit has it; None where it has none."""
        done = self._start("cat-file", "blob", f"{commit}:./{path}")
        return done.stdout if done.returncode == 0 else None

    def messages(self, base: str, commit: str) -> list[str]:
        """Return the messages of the commits that a branch has and its base has not."""
        text = self._run("log", "-z", "--format=%B", f"{base}..{commit}").decode(errors="replace")
        return [message for message in text.split("\0") if message.strip()]

    def write(self, base: str, files: Mapping[str, bytes], message: str) -> str:
        """Return a new commit on top of another one, with these files of the checkout changed or added."""
        top = self._run("rev-parse", "--show-prefix").decode().strip()
        action = f"make {self.work} writable, or let {WORK} name another folder"
        with ExitStack() as cleanup:
            with system_errors("making a commit", action):
                self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
                folder = cleanup.enter_context(TemporaryDirectory(prefix="commit-", dir=self.work))
            index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            self._run("read-tree", base, variables=index)
            for path, content in files.items():
                blob = self._run("hash-object", "-w", "--stdin", given=content).decode().strip()
                mode = self._mode(base, path)
                self._run("update-index", "--add", "--cacheinfo", f"{mode},{blob},{top}{path}", variables=index)
            tree = self._run("write-tree", variables=index).decode().strip()
        return self._run("commit-tree", tree, "-p", base, "-m", message).decode().strip()

    def is_same(self, commit: str, other: str) -> bool:
        """Return whether two commits have the same files on top of the same commit."""
        facts = self._run("log", "-1", "--format=%T %P", commit), self._run("log", "-1", "--format=%T %P", other)
        return facts[0] == facts[1]

    def push(self, commit: str, branch: str, before: str | None) -> None:
        """Let a branch of the remote be at a commit, unless somebody has moved it; raise DeliveryError when refused."""
        lease = f"--force-with-lease={_HEADS}{branch}:{before or ''}"
        self._ask("pushing to", "push", "--quiet", lease, self.remote, f"{commit}:{_HEADS}{branch}")

    def _mode(self, commit: str, path: str) -> str:
        listed = self._run("ls-tree", commit, f"./{path}").decode()
        return listed.split(" ", 1)[0] if listed else _FILE

    def _ask(self, purpose: str, *arguments: str) -> str:
        """Return the answer of the remote; its last words, without logins, where it refuses."""
        done = self._start(*arguments)
        if done.returncode != 0:
            raise DeliveryError(f"{purpose} the remote `{self.remote}` failed: {_words(done)}")
        return done.stdout.decode(errors="replace")

    def _run(self, *arguments: str, given: bytes | None = None, variables: Mapping[str, str] | None = None) -> bytes:
        done = self._start(*arguments, given=given, variables=variables)
        if done.returncode != 0:
            raise DeliveryError(f"`git {arguments[0]}` failed: {_words(done)}")
        return done.stdout

    def _start(
        self, *arguments: str, given: bytes | None = None, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        identity = {name: os.environ[name] for name in _IDENTITY if name in os.environ}
        try:
            return subprocess.run(
                ["git", "--no-optional-locks", *arguments],
                cwd=self.root,
                env={**variables_of_no_hook(), **identity, **(variables or {})},
                input=given or b"",
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise not_runnable("git", error) from None


def _words(done: "subprocess.CompletedProcess[bytes]") -> str:
    lines: Sequence[str] = done.stderr.decode(errors="replace").strip().splitlines()
    return without_login("\n".join(lines[-_LINES:])) or f"git ended with {done.returncode}"
