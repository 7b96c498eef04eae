"""GitLab, by python-gitlab; what is called a pull request elsewhere is a merge request there."""

from dataclasses import dataclass
from typing import Any

from gitlab import Gitlab
from gitlab.exceptions import GitlabError

from delivery.clients.forges.access import SECONDS, Access, session
from delivery.clients.forges.forge import (
    LABEL,
    MARKER_ROOM,
    Check,
    Issue,
    PullRequest,
    State,
    Ticket,
    hidden,
    is_marked,
    marked,
    require_length,
)
from delivery.clients.forges.origin import Origin

_PAGE = 100
_DESCRIPTION = 255
_NEEDED = "the scope `api` and the role Developer"
# A status has no neutral end: a skipped one would hold a pipeline up.
_STATES = {State.SUCCESS: "success", State.FAILURE: "failed", State.NEUTRAL: "success"}


def gitlab(origin: Origin, token: str, backoff: float) -> "GitLab":
    """Return the client of a project; nothing is sent yet."""
    client = Gitlab(
        origin.url,
        private_token=token,
        timeout=SECONDS,
        per_page=_PAGE,
        # Links to further pages name the server as it calls itself.
        keep_base_url=True,
        session=session(backoff),
    )
    return GitLab(Access(origin, _answer), client.projects.get(origin.repository, lazy=True))


@dataclass(frozen=True)
class GitLab:
    """A project of GitLab."""

    access: Access
    project: Any
    name: str = "GitLab"
    comment_limit: int = 1_000_000 - MARKER_ROOM
    has_issues: bool = True

    def pull_request(self, branch: str) -> PullRequest | None:
        """Return the open merge request of a branch."""
        with self.access.to(f"looking for the merge request of {branch}", _NEEDED):
            existing = self._open(branch)
            return None if existing is None else _pull_request(existing)

    def open_pull_request(self, source: str, target: str, title: str, body: str) -> PullRequest:
        """Return the merge request of a branch, opened or brought up to date."""
        require_length(self.name, "merge request's text", body, self.comment_limit)
        values = {"target_branch": target, "title": title, "description": body}
        with self.access.to(f"opening a merge request of {source}", _NEEDED):
            existing = self._open(source)
            if existing is None:
                return _pull_request(self.project.mergerequests.create({"source_branch": source, **values}).attributes)
            return _pull_request(self.project.mergerequests.update(existing["iid"], values))

    def comment(self, number: int, marker: str, body: str) -> str:
        """Return the URL of the one comment with this marker."""
        require_length(self.name, "comment", body, self.comment_limit)
        text = marked(hidden(marker), body)
        with self.access.to(f"commenting on merge request {number}", _NEEDED):
            notes = self.project.mergerequests.get(number, lazy=True).notes
            for note in notes.list(iterator=True, per_page=_PAGE):
                if is_marked(hidden(marker), note.body):
                    notes.update(note.id, {"body": text})
                    break
            else:
                note = notes.create({"body": text})
            return f"{self.access.origin.page}/-/merge_requests/{number}#note_{note.id}"

    def check(self, commit: str, check: Check) -> None:
        """Set a commit's status; of those of one name GitLab shows the last. It has room for the title alone."""
        values = {"state": _STATES[check.state], "name": check.name, "description": check.title[:_DESCRIPTION]}
        if check.url is not None:
            values["target_url"] = check.url
        with self.access.to(f"setting the status {check.name}", _NEEDED):
            self.project.commits.get(commit, lazy=True).statuses.create(values)

    def find_issue(self, marker: str) -> Issue | None:
        """Return the open issue with this marker."""
        with self.access.to(f"looking for the issue {marker}", _NEEDED):
            for given in self.project.issues.list(state="opened", labels=LABEL, iterator=True, per_page=_PAGE):
                if is_marked(hidden(marker), given.description):
                    return Issue(str(given.iid), given.web_url, given.title)
        return None

    def open_issue(self, marker: str, title: str, body: str, labels: tuple[str, ...] = ()) -> Issue:
        """Return a new issue."""
        require_length(self.name, "issue's text", body, self.comment_limit)
        values = {"title": title, "description": marked(hidden(marker), body), "labels": ",".join((LABEL, *labels))}
        with self.access.to(f"opening the issue {marker}", _NEEDED):
            given = self.project.issues.create(values)
            return Issue(str(given.iid), given.web_url, given.title)

    def update_issue(self, number: str, marker: str, title: str, body: str) -> None:
        """Give an issue another title and body."""
        require_length(self.name, "issue's text", body, self.comment_limit)
        with self.access.to(f"updating issue {number}", _NEEDED):
            self.project.issues.update(int(number), {"title": title, "description": marked(hidden(marker), body)})

    def close_issue(self, number: str, comment: str) -> None:
        """Close an issue with a last comment."""
        with self.access.to(f"closing issue {number}", _NEEDED):
            self.project.issues.get(int(number), lazy=True).notes.create({"body": comment})
            self.project.issues.update(int(number), {"state_event": "close"})

    def ticket(self, key: str) -> Ticket | None:
        """Return an issue by its number."""
        number = key.removeprefix("#")
        if not number.isdecimal():
            return None
        with self.access.to(f"reading issue {key}", "the scope `read_api`"):
            try:
                given = self.project.issues.get(int(number))
            except GitlabError as error:
                if error.response_code == 404:
                    return None
                raise
            return Ticket(key, given.title, given.state, given.web_url)

    def _open(self, branch: str) -> dict[str, Any] | None:
        existing = self.project.mergerequests.list(state="opened", source_branch=branch, iterator=True, per_page=_PAGE)
        # One of a fork may have a branch of the same name.
        own = (each.attributes for each in existing if each.source_project_id == each.target_project_id)
        return next(own, None)


def _pull_request(given: Any) -> PullRequest:
    return PullRequest(
        given["iid"], given["web_url"], given["title"], given["source_branch"], given["target_branch"], given["sha"]
    )


def _answer(error: Exception) -> tuple[int, str] | None:
    if not isinstance(error, GitlabError) or error.response_code is None:
        return None
    return error.response_code, str(error.error_message)
