"""Bitbucket Data Center, by atlassian-python-api."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from atlassian import Bitbucket

from delivery.clients.forges.access import SECONDS, Access, session
from delivery.clients.forges.bitbucket import LIMIT, PAGE, WithoutIssues, answer, build, mark
from delivery.clients.forges.forge import Check, PullRequest, is_marked, marked, require_length
from delivery.clients.forges.origin import Origin

_NEEDED = "an HTTP access token that may write to the repository"


def data_center(origin: Origin, token: str, backoff: float) -> "BitbucketDataCenter":
    """Return the client of a repository; nothing is sent yet."""
    client = Bitbucket(origin.url, token=token, timeout=SECONDS, session=session(backoff))
    return BitbucketDataCenter(Access(origin, answer), client)


@dataclass(frozen=True)
class BitbucketDataCenter(WithoutIssues):
    """A repository of a Bitbucket Data Center."""

    access: Access
    client: Any
    name: str = "Bitbucket"
    comment_limit: int = LIMIT

    def pull_request(self, branch: str) -> PullRequest | None:
        """Return the open pull request of a branch."""
        with self.access.to(f"looking for the pull request of {branch}", _NEEDED):
            existing = self._open(branch)
            return None if existing is None else _pull_request(existing)

    def open_pull_request(self, source: str, target: str, title: str, body: str) -> PullRequest:
        """Return the pull request of a branch, opened or brought up to date."""
        require_length(self.name, "pull request's text", body, self.comment_limit)
        values = {"title": title, "description": body, "toRef": self._ref(target)}
        with self.access.to(f"opening a pull request of {source}", _NEEDED):
            existing = self._open(source)
            if existing is None:
                made = self.client.post(self._path("pull-requests"), {"fromRef": self._ref(source), **values})
            else:
                # Without them its reviewers would be gone; the version says that nobody has changed it meanwhile.
                kept = {"version": existing["version"], "reviewers": existing.get("reviewers", [])}
                made = self.client.put(self._path(f"pull-requests/{existing['id']}"), {**values, **kept})
            return _pull_request(made)

    def comment(self, number: int, marker: str, body: str) -> str:
        """Return the URL of the one comment with this marker."""
        require_length(self.name, "comment", body, self.comment_limit)
        text, path = marked(mark(marker), body), self._path(f"pull-requests/{number}")
        with self.access.to(f"commenting on pull request {number}", _NEEDED):
            # Comments are listed by file, or here among everything else.
            activities = self._pages(f"{path}/activities")
            comments = (each["comment"] for each in activities if each.get("action") == "COMMENTED")
            existing = next((each for each in comments if is_marked(mark(marker), each["text"])), None)
            if existing is None:
                written = self.client.post(f"{path}/comments", {"text": text})
            else:
                values = {"text": text, "version": existing["version"]}
                written = self.client.put(f"{path}/comments/{existing['id']}", values)
            return f"{self.access.origin.page}/pull-requests/{number}/overview?commentId={written['id']}"

    def check(self, commit: str, check: Check) -> None:
        """Set a commit's build; one of the same name is replaced. It has room for the title alone."""
        values = build(check, f"{self.access.origin.page}/commits/{commit}")
        with self.access.to(f"setting the build {check.name}", _NEEDED):
            self.client.post(self._path(f"commits/{commit}/builds"), values)

    def _open(self, branch: str) -> dict[str, Any] | None:
        existing = self._pages(
            self._path("pull-requests"), state="OPEN", direction="OUTGOING", at=f"refs/heads/{branch}"
        )
        return next(iter(existing), None)

    def _path(self, path: str) -> str:
        project, _, slug = self.access.origin.repository.partition("/")
        return f"rest/api/latest/projects/{project}/repos/{slug}/{path}"

    def _ref(self, branch: str) -> dict[str, Any]:
        project, _, slug = self.access.origin.repository.partition("/")
        return {"id": f"refs/heads/{branch}", "repository": {"slug": slug, "project": {"key": project}}}

    def _pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        page: dict[str, Any] = {"nextPageStart": 0}
        while not page.get("isLastPage", False):
            page = self.client.get(path, params={**query, "limit": PAGE, "start": page["nextPageStart"]})
            yield from page["values"]


def _pull_request(given: dict[str, Any]) -> PullRequest:
    return PullRequest(
        given["id"],
        given["links"]["self"][0]["href"],
        given["title"],
        given["fromRef"]["displayId"],
        given["toRef"]["displayId"],
        given["fromRef"]["latestCommit"],
    )
