"""GitHub, and GitHub Enterprise Server, by PyGithub."""

from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from github import Auth, Github, GithubRetry
from github.GithubException import GithubException, RateLimitExceededException, UnknownObjectException
from github.PullRequest import PullRequest as Given
from github.Repository import Repository

from delivery.clients.forges.access import PATIENCE, SECONDS, Access, Again, again
from delivery.clients.forges.forge import (
    LABEL,
    MARKER_ROOM,
    Check,
    Issue,
    PullRequest,
    Ticket,
    hidden,
    is_marked,
    marked,
    require_length,
)
from delivery.clients.forges.origin import Origin

_PAGE = 100
_SUMMARY = 65_535
_PULLS = "pull requests: write"
_ISSUES = "issues: write"
_CHECKS = "checks: write, which GitHub gives to its Actions and to apps, not to persons"


class _Again(Again, GithubRetry):
    """GitHub says 403, too, to those that come too often."""


def github(origin: Origin, token: str, backoff: float) -> "GitHub":
    """Return the client of a repository; nothing is sent yet."""
    hosted = urlsplit(origin.url).hostname == "github.com"
    client = Github(
        auth=Auth.Token(token),
        base_url="https://api.github.com" if hosted else f"{origin.url}/api/v3",
        timeout=SECONDS,
        per_page=_PAGE,
        retry=_Again(**again(backoff, max_rate_limit_wait=PATIENCE)),  # type: ignore[arg-type]
        # A command sends a handful.
        seconds_between_requests=None,
        seconds_between_writes=None,
        lazy=True,
    )
    return GitHub(Access(origin, _answer), client.get_repo(origin.repository))


@dataclass(frozen=True)
class GitHub:
    """A repository of GitHub."""

    access: Access
    repository: Repository
    name: str = "GitHub"
    comment_limit: int = 65_536 - MARKER_ROOM
    has_issues: bool = True

    def pull_request(self, branch: str) -> PullRequest | None:
        """Return the open pull request of a branch."""
        with self.access.to(f"looking for the pull request of {branch}", _PULLS):
            given = self._open(branch)
            return None if given is None else _pull_request(given)

    def open_pull_request(self, source: str, target: str, title: str, body: str) -> PullRequest:
        """Return the pull request of a branch, opened or brought up to date."""
        require_length(self.name, "pull request's text", body, self.comment_limit)
        with self.access.to(f"opening a pull request of {source}", _PULLS):
            given = self._open(source)
            if given is None:
                given = self.repository.create_pull(base=target, head=source, title=title, body=body)
            else:
                given.edit(title=title, body=body, base=target)
            return _pull_request(given)

    def comment(self, number: int, marker: str, body: str) -> str:
        """Return the URL of the one comment with this marker."""
        require_length(self.name, "comment", body, self.comment_limit)
        text = marked(hidden(marker), body)
        with self.access.to(f"commenting on pull request {number}", _PULLS):
            issue = self.repository.get_issue(number)
            for comment in issue.get_comments():
                if is_marked(hidden(marker), comment.body):
                    comment.edit(text)
                    return comment.html_url
            return issue.create_comment(text).html_url

    def check(self, commit: str, check: Check) -> None:
        """Set the result of a check; of those of one name GitHub shows the last."""
        require_length(self.name, "check's summary", check.summary, _SUMMARY)
        more: dict[str, Any] = {} if check.url is None else {"details_url": check.url}
        with self.access.to(f"setting the check {check.name}", _CHECKS):
            self.repository.create_check_run(
                name=check.name,
                head_sha=commit,
                status="completed",
                conclusion=check.state.value,
                output={"title": check.title, "summary": check.summary},
                **more,
            )

    def find_issue(self, marker: str) -> Issue | None:
        """Return the open issue with this marker."""
        with self.access.to(f"looking for the issue {marker}", _ISSUES):
            for given in self.repository.get_issues(state="open", labels=[LABEL]):
                if is_marked(hidden(marker), given.body):
                    return Issue(str(given.number), given.html_url, given.title)
        return None

    def open_issue(self, marker: str, title: str, body: str, labels: tuple[str, ...] = ()) -> Issue:
        """Return a new issue."""
        require_length(self.name, "issue's text", body, self.comment_limit)
        with self.access.to(f"opening the issue {marker}", _ISSUES):
            text = marked(hidden(marker), body)
            given = self.repository.create_issue(title=title, body=text, labels=[LABEL, *labels])
            return Issue(str(given.number), given.html_url, given.title)

    def update_issue(self, number: str, marker: str, title: str, body: str) -> None:
        """Give an issue another title and body."""
        require_length(self.name, "issue's text", body, self.comment_limit)
        with self.access.to(f"updating issue {number}", _ISSUES):
            self.repository.get_issue(int(number)).edit(title=title, body=marked(hidden(marker), body))

    def close_issue(self, number: str, comment: str) -> None:
        """Close an issue with a last comment."""
        with self.access.to(f"closing issue {number}", _ISSUES):
            issue = self.repository.get_issue(int(number))
            issue.create_comment(comment)
            issue.edit(state="closed")

    def ticket(self, key: str) -> Ticket | None:
        """Return an issue by its number."""
        number = key.removeprefix("#")
        if not number.isdecimal():
            return None
        with self.access.to(f"reading issue {key}", "issues: read"):
            try:
                given = self.repository.get_issue(int(number))
                return Ticket(key, given.title, given.state, given.html_url)
            except UnknownObjectException:
                return None

    def _open(self, branch: str) -> Given | None:
        owner = self.access.origin.repository.partition("/")[0]
        pulls = self.repository.get_pulls(state="open", head=f"{owner}:{branch}")
        return next(iter(islice(pulls, 1)), None)


def _pull_request(given: Given) -> PullRequest:
    return PullRequest(
        given.number, given.html_url, given.title, given.head.ref, given.base.ref, given.head.sha
    )  # fmt: skip


def _answer(error: Exception) -> tuple[int, str] | None:
    if not isinstance(error, GithubException):
        return None
    data = error.data if isinstance(error.data, dict) else {}
    details = [str(each.get("message") or "") for each in data.get("errors") or () if isinstance(each, dict)]
    words = "; ".join(word for word in (data.get("message"), *details) if word)
    # GitHub says 403 to those that come too often, too: no other token would help.
    status = 429 if isinstance(error, RateLimitExceededException) else error.status
    return status, words or str(data.get("data") or error.data)
