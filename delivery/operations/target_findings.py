"""What a look at a cluster finds."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a finding is meant; `MISSING`, `OLD` and `BLOCKED` keep an environment from coming up."""

    OK = "ok"
    MISSING = "missing"
    OLD = "too old"
    BLOCKED = "in the way"
    NOTE = "note"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing of a cluster: what was found, and `fix`, what to do about it."""

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""

    @property
    def stops(self) -> bool:
        """Return whether it keeps the environment from coming up."""
        return self.verdict in (Verdict.MISSING, Verdict.OLD, Verdict.BLOCKED)
