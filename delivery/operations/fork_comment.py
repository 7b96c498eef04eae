"""`stellwerk ci comment`: what the run of a fork has written, posted by code of the repository itself, which may."""

from pathlib import Path

from delivery.clients.forges.forge import Forge
from delivery.operations.ci_view import MARKER

_HEAD = "> Written by the fork's own code, without cluster and credentials.\n\n"
_CUT = "\n\n… cut: the whole is an artefact of the run\n"


def post(forge: Forge, number: int, file: Path) -> str:
    """Return the address of the comment on a pull request, made of a file that nobody has to trust.

    It is never more than text: whatever is no text in it is replaced, what is too long is cut.
    """
    room = forge.comment_limit - len(_HEAD) - len(_CUT)
    with file.open(encoding="utf-8", errors="replace") as stream:
        text = stream.read(room + 1)
    return forge.comment(number, MARKER, f"{_HEAD}{text[:room]}{_CUT if len(text) > room else ''}")
