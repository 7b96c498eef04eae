"""Who changes an environment, as the engine records it with the update: by the message, which it keeps as it is."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from delivery.clients.git import Git

# Variables in which CI services say on whose behalf they run; there git knows the service's own name at most.
_ACTORS = (
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BITBUCKET_STEP_TRIGGERER_UUID",
    "bamboo_ManualBuildTriggerReason_userName",
)
_MESSAGE = re.compile(r"stellwerk, by (?P<by>[^;]+)(?:; after a killed update: (?P<killed>.+))?")


def author(root: Path, variables: Mapping[str, str]) -> str:
    """Return who works in a checkout: whom a CI service names, or git, or else the system."""
    named = next((variables[name] for name in _ACTORS if variables.get(name)), None)
    return named or Git(root).identity() or f"{os.getuid()}@{os.uname().nodename}"


@dataclass(frozen=True)
class Message:
    """The message of an update that the command makes; `killed` is the update that was killed before it, if one was."""

    by: str
    killed: str | None = None

    def __str__(self) -> str:
        after = f"; after a killed update: {self.killed}" if self.killed else ""
        return f"stellwerk, by {self.by.replace(';', ',')}{after}"


def message(root: Path, variables: Mapping[str, str], killed: str | None = None) -> str:
    """Return the message of an update that is made in a checkout."""
    return str(Message(author(root, variables), killed))


def parse(text: str) -> Message | None:
    """Return the message that a text is; None for one of somebody else's."""
    said = _MESSAGE.fullmatch(text)
    return Message(said["by"], said["killed"]) if said else None
