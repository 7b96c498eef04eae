"""Bitbucket Cloud, by atlassian-python-api, and what it shares with a Data Center."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from atlassian.bitbucket.cloud import Cloud
from requests import HTTPError

from delivery.clients.forges.access import SECONDS, Access, session
from delivery.clients.forges.forge import (
    MARKER_ROOM,
    Check,
    Issue,
    PullRequest,
    State,
    Ticket,
    is_marked,
    marked,
    require_length,
)
from delivery.clients.forges.origin import Origin
from delivery.errors import DeliveryError

API = "https://api.bitbucket.org"
LIMIT = 32_768 - MARKER_ROOM
PAGE = 50
# A build has no neutral end that would let a pull request be merged.
STATES = {State.SUCCESS: "SUCCESSFUL", State.FAILURE: "FAILED", State.NEUTRAL: "SUCCESSFUL"}
# Of a build's key and description; longer ones are refused.
KEY, DESCRIPTION = 40, 255
_PULLS = "an access token with the scope pullrequest:write"
_BUILDS = "an access token with the scope repository:write"


class WithoutIssues:
    """Bitbucket has pull requests and builds; requirements and errors are kept elsewhere, mostly in Jira."""

    @property
    def has_issues(self) -> bool:
        """Return that there are none."""
        return False

    def find_issue(self, marker: str) -> Issue | None:
        """Raise DeliveryError: there are no issues."""
        raise _no_issues()

    def open_issue(self, marker: str, title: str, body: str, labels: tuple[str, ...] = ()) -> Issue:
        """Raise DeliveryError: there are no issues."""
        raise _no_issues()

    def update_issue(self, number: str, marker: str, title: str, body: str) -> None:
        """Raise DeliveryError: there are no issues."""
        raise _no_issues()

    def close_issue(self, number: str, comment: str) -> None:
        """Raise DeliveryError: there are no issues."""
        raise _no_issues()

    def ticket(self, key: str) -> Ticket | None:
        """Return None: there are no issues."""
        return None


def bitbucket_cloud(origin: Origin, token: str, backoff: float, api: str = API) -> "BitbucketCloud":
    """Return the client of a repository; nothing is sent yet."""
    client = Cloud(api, token=token, timeout=SECONDS, session=session(backoff))
    return BitbucketCloud(Access(origin, answer), client)


@dataclass(frozen=True)
class BitbucketCloud(WithoutIssues):
    """A repository of Bitbucket Cloud."""

    access: Access
    client: Any
    name: str = "Bitbucket"
    comment_limit: int = LIMIT

    def pull_request(self, branch: str) -> PullRequest | None:
        """Return the open pull request of a branch."""
        with self.access.to(f"looking for the pull request of {branch}", _PULLS):
            existing = self._open(branch)
            return None if existing is None else _pull_request(existing)

    def open_pull_request(self, source: str, target: str, title: str, body: str) -> PullRequest:
        """Return the pull request of a branch, opened or brought up to date."""
        require_length(self.name, "pull request's text", body, self.comment_limit)
        values = {"title": title, "description": body, "destination": {"branch": {"name": target}}}
        with self.access.to(f"opening a pull request of {source}", _PULLS):
            existing = self._open(source)
            if existing is None:
                made = self.client.post(self._path("pullrequests"), {"source": {"branch": {"name": source}}, **values})
            else:
                made = self.client.put(self._path(f"pullrequests/{existing['id']}"), values)
            return _pull_request(made)

    def comment(self, number: int, marker: str, body: str) -> str:
        """Return the URL of the one comment with this marker."""
        require_length(self.name, "comment", body, self.comment_limit)
        comments = self._path(f"pullrequests/{number}/comments")
        content = {"content": {"raw": marked(mark(marker), body)}}
        with self.access.to(f"commenting on pull request {number}", _PULLS):
            for given in self._pages(comments):
                if not given.get("deleted") and is_marked(mark(marker), given["content"]["raw"]):
                    written = self.client.put(f"{comments}/{given['id']}", content)
                    break
            else:
                written = self.client.post(comments, content)
            return str(written["links"]["html"]["href"])

    def check(self, commit: str, check: Check) -> None:
        """Set a commit's build; one of the same name is replaced. It has room for the title alone."""
        values = build(check, f"{self.access.origin.page}/commits/{commit}")
        with self.access.to(f"setting the build {check.name}", _BUILDS):
            self.client.post(self._path(f"commit/{commit}/statuses/build"), values)

    def _open(self, branch: str) -> dict[str, Any] | None:
        query = f'source.branch.name = "{branch}"'
        # One of a fork may have a branch of the same name.
        own = (
            each
            for each in self._pages(self._path("pullrequests"), state="OPEN", q=query)
            if (each["source"].get("repository") or {}).get("full_name") == self.access.origin.repository
        )
        return next(own, None)

    def _path(self, path: str) -> str:
        return f"repositories/{self.access.origin.repository}/{path}"

    def _pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        page = self.client.get(path, params={**query, "pagelen": PAGE})
        yield from page["values"]
        while "next" in page:
            page = self.client.get(page["next"], absolute=True)
            yield from page["values"]


def build(check: Check, otherwise: str) -> dict[str, str]:
    """Return a check as a build, which must have an address."""
    return {
        "key": check.name[:KEY],
        "name": check.name,
        "state": STATES[check.state],
        "description": check.title[:DESCRIPTION],
        "url": check.url or otherwise,
    }


def mark(marker: str) -> str:
    """Return the line that marks a text: Bitbucket shows comments of HTML, but no definitions of links."""
    return f"[//]: # (stellwerk: {marker})"


def answer(error: Exception) -> tuple[int, str] | None:
    """Return status and words of an answer that the library raised."""
    if not isinstance(error, HTTPError) or error.response is None:
        return None
    return error.response.status_code, str(error)


def _pull_request(given: dict[str, Any]) -> PullRequest:
    return PullRequest(
        given["id"],
        given["links"]["html"]["href"],
        given["title"],
        given["source"]["branch"]["name"],
        given["destination"]["branch"]["name"],
        given["source"]["commit"]["hash"],
    )


def _no_issues() -> DeliveryError:
    return DeliveryError("Bitbucket has no issues: keep them in your tracker, and read the command's own output")
