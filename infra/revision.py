"""The revision of what an image is built from: a commit, and a digest of what differs from it."""

import os
import subprocess
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

UNKNOWN = "unknown"
# What of this checkout goes into the training image.
TRAINING_SOURCES = ("training", ":(glob)models/*/model.yaml")
# So many hexadecimal digits of the difference's digest.
_DIGITS = 12


def revision(root: Path, sources: Sequence[str]) -> str:
    """Return the last commit that touched the sources, `<commit>+<12 hex>` when they differ from it, or `unknown`.

    The sources are folders and files below `root`, as git's pathspecs. Every checkout of the same history gives the
    same answer, whatever its head. `unknown` is said outside git, and where a shallow clone does not reach back to
    that commit.
    """
    try:
        top, shallow = _repository(root)
        commit = _git(root, "log", "-1", "--format=%H", "--", *sources) or _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--", *sources)
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    if commit in shallow:
        return UNKNOWN
    # An entry is two letters, a space and the path from the top of the repository.
    paths = sorted(entry[3:] for entry in changes.split("\0") if entry)
    return f"{commit}+{_digest(top, paths)}" if paths else commit


@cache
def _repository(root: Path) -> tuple[Path, frozenset[str]]:
    """Return the top folder of the repository, and the commits at which a shallow clone is cut off."""
    top, shallow = _git(root, "rev-parse", "--show-toplevel", "--git-path", "shallow").splitlines()
    file = root / shallow
    return Path(top), frozenset(file.read_text(encoding="ascii").split() if file.is_file() else ())


def _digest(top: Path, paths: Sequence[str]) -> str:
    """Return the digest of the files as they are: another way of showing differences gives no other one."""
    state = sha256()
    for name in paths:
        path = top / name
        content, mode = b"", b"absent"
        if path.is_symlink():
            content, mode = os.readlink(path).encode(), b"link"
        elif path.is_file():
            content, mode = path.read_bytes(), b"program" if path.stat().st_mode & 0o100 else b"file"
        state.update(b"%b %b %d\n%b" % (name.encode(), mode, len(content), content))
    return state.hexdigest()[:_DIGITS]


def _git(root: Path, *arguments: str) -> str:
    # Inside a hook these name another repository or index.
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", "--no-optional-locks", *arguments]
    done = subprocess.run(command, cwd=root, env=variables, capture_output=True, check=True)
    return os.fsdecode(done.stdout).strip("\n")
