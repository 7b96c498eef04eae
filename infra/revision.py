"""The revision of what an image is built from: a commit, and a digest of what differs from it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path

UNKNOWN = "unknown"
# So many hexadecimal digits of the difference's digest.
_DIGITS = 12


def revision(root: Path, sources: Sequence[str]) -> str:
    """Return the revision of these sources, as `revisions` does."""
    return revisions(root, {"": sources})[""]


def revisions(root: Path, sources: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return by name the last commit that touched the sources, `<commit>+<12 hex>` when they differ, or `unknown`.

    Sources are folders and files below `root`; a `*` stands for any part of one name, and what is behind a `!` is left
    out of the others. Every checkout of the same history gives the same answer, whatever its head. `unknown` is said
    outside git, and where a shallow clone does not reach back to that commit.
    """
    # What one leaves out may be another's.
    every = sorted({source for given in sources.values() for source in given if source[0] != "!"})
    if not every:
        return {}
    try:
        # All at once: a process takes longer to start than to answer.
        where = _start(root, "rev-parse", "--show-toplevel", "--show-prefix", "HEAD", "--git-path", "shallow")
        status = _start(
            root, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", *pathspecs(every)
        )
        logs = {name: _start(root, "log", "-1", "--format=%H", *pathspecs(given)) for name, given in sources.items()}
    except OSError:
        return dict.fromkeys(sources, UNKNOWN)
    repository, changes = _answer(where), _answer(status)
    commits = {name: _answer(log) for name, log in logs.items()}
    if repository is None or changes is None or None in commits.values():
        return dict.fromkeys(sources, UNKNOWN)
    top, prefix, head, shallow = repository.split("\n")
    cut = (root / shallow).read_text(encoding="ascii").split() if (root / shallow).is_file() else ()
    # An entry is two letters, a space and the path from the top of the repository.
    changed = sorted(entry[3:].removeprefix(prefix) for entry in changes.split("\0") if entry)

    def of(name: str) -> str:
        commit = commits[name] or head
        if commit in cut:
            return UNKNOWN
        own = [path for path in changed if covers(sources[name], path)]
        return f"{commit}+{_digest(Path(top), prefix, own)}" if own else commit

    return {name: of(name) for name in sources}


def covers(sources: Sequence[str], path: str) -> bool:
    """Return whether a path is one of the sources or below one, and not of what is left out."""
    left_out = any(_covers(source[1:], path) for source in sources if source.startswith("!"))
    return not left_out and any(_covers(source, path) for source in sources)


def pathspecs(sources: Sequence[str]) -> tuple[str, ...]:
    """Return the sources as git's pathspecs: a `*` stops at a slash."""
    return ("--", *(f":(glob,exclude){source[1:]}" if source[0] == "!" else f":(glob){source}" for source in sources))


def _covers(source: str, path: str) -> bool:
    """Return whether a path is the source or below it, as git's pathspecs have it."""
    pattern, names = source.split("/"), path.split("/")
    return len(names) >= len(pattern) and all(map(fnmatchcase, names, pattern))


def _digest(top: Path, prefix: str, paths: Sequence[str]) -> str:
    """Return the digest of the files as they are: another way of showing differences gives no other one."""
    state = sha256()
    for name in paths:
        path = top / prefix / name
        content, mode = b"", b"absent"
        if path.is_symlink():
            content, mode = os.readlink(path).encode(), b"link"
        elif path.is_file():
            content, mode = path.read_bytes(), b"program" if path.stat().st_mode & 0o100 else b"file"
        state.update(b"%b %b %d\n%b" % (f"{prefix}{name}".encode(), mode, len(content), content))
    return state.hexdigest()[:_DIGITS]


def _start(root: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    command = ["git", "--no-optional-locks", *arguments]
    return subprocess.Popen(
        command, cwd=root, env=variables_of_no_hook(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


def variables_of_no_hook() -> dict[str, str]:
    """Return the variables of a git process: inside a hook some name another repository or index."""
    return {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}


def _answer(process: "subprocess.Popen[bytes]") -> str | None:
    """Return the output of a process, None where it failed."""
    output, _ = process.communicate()
    return os.fsdecode(output).removesuffix("\n") if process.returncode == 0 else None
