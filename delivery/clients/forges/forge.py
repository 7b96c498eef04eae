"""What a forge is asked for: pull requests, comments, checks and issues of one repository, the same on each host."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from delivery.errors import DeliveryError


class State(StrEnum):
    """How a check ended; a neutral one holds no pull request up."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


@dataclass(frozen=True)
class PullRequest:
    """An open pull request (GitLab: merge request); `commit` is the last one of its source branch."""

    number: int
    url: str
    title: str
    source: str
    target: str
    commit: str


@dataclass(frozen=True)
class Check:
    """The result of a check, shown beside a commit; `summary` is Markdown, `url` where the whole of it is."""

    name: str
    state: State
    title: str
    summary: str
    url: str | None = None


@dataclass(frozen=True)
class Issue:
    """An open issue by its number, or by its key where a tracker has those."""

    number: str
    url: str
    title: str


@dataclass(frozen=True)
class Ticket:
    """A requirement, change request or error by its key, with its state in the tracker's own word."""

    key: str
    title: str
    state: str
    url: str


class Forge(Protocol):
    """One repository of a forge.

    A marker is a word such as `preview-prod`: hidden in the text, it says which comment or issue is whose. All methods
    raise DeliveryError where the forge refuses or is not reached, and for a text that is longer than `comment_limit`.
    """

    @property
    def name(self) -> str:
        """Return what the forge is called in messages: GitHub, GitLab, Bitbucket."""

    @property
    def comment_limit(self) -> int:
        """Return how many characters a comment, or the body of a pull request or an issue, may have."""

    @property
    def has_issues(self) -> bool:
        """Return whether it keeps issues; where it does not, all that is asked about them raises DeliveryError."""

    def pull_request(self, branch: str) -> PullRequest | None:
        """Return the open pull request whose source is a branch of this repository; None where there is none."""

    def open_pull_request(self, source: str, target: str, title: str, body: str) -> PullRequest:
        """Return the pull request of a branch, opened, or with this title and body where it is open already."""

    def comment(self, number: int, marker: str, body: str) -> str:
        """Return the URL of the one comment with this marker, written, or with this body where it is there already."""

    def check(self, commit: str, check: Check) -> None:
        """Set the result of a check at a commit; one of the same name is replaced."""

    def find_issue(self, marker: str) -> Issue | None:
        """Return the open issue with this marker; None where there is none."""

    def open_issue(self, marker: str, title: str, body: str, labels: tuple[str, ...] = ()) -> Issue:
        """Return a new issue; who wants one only looks with `find_issue` first."""

    def update_issue(self, number: str, marker: str, title: str, body: str) -> None:
        """Give an open issue with this marker another title and body."""

    def close_issue(self, number: str, comment: str) -> None:
        """Close an issue with a last comment."""

    def ticket(self, key: str) -> Ticket | None:
        """Return an issue, open or closed, by its number or key; None where there is none."""


# Of what a forge allows, so much is kept for the line that marks whose text it is.
MARKER_ROOM = 200
# The label of all issues that commands open: they are looked for among these.
LABEL = "stellwerk"


def hidden(marker: str) -> str:
    """Return the line that marks a text, where Markdown may have comments of HTML."""
    return f"<!-- stellwerk: {marker} -->"


def marked(line: str, body: str) -> str:
    """Return a text that begins with the line that marks it."""
    return f"{line}\n\n{body}"


def is_marked(line: str, text: str | None) -> bool:
    """Return whether a text is the marked one, and does not just quote it."""
    return (text or "").startswith(line)


def require_length(name: str, what: str, text: str, limit: int) -> None:
    """Raise DeliveryError for a text that the forge would refuse, before it is sent."""
    if len(text) > limit:
        raise DeliveryError(
            f"{name}: the {what} has {len(text):,} characters; allowed: at most {limit:,}; shorten it, and keep the "
            "whole as an artefact"
        )
