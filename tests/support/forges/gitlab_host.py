"""A GitLab of one project."""

from typing import Any

from tests.support.forges.state import REPOSITORY, Answer, Asked, Pull, Remembered, Route, Text

_PROJECT = "/projects/{id}"
_REQUEST = f"{_PROJECT}/merge_requests/{{merge_request_iid}}"
_ISSUE = f"{_PROJECT}/issues/{{issue_iid}}"
_STATES = {"open": "opened"}


class GitLabHost:
    name, prefix = "gitlab", "/api/v4"

    def __init__(self, state: Remembered) -> None:
        self.state = state
        self.page = f"{state.url}/{REPOSITORY}"
        self.routes: dict[tuple[str, str], Route] = {
            ("GET", f"{_PROJECT}/merge_requests"): self.requests,
            ("POST", f"{_PROJECT}/merge_requests"): self.open,
            ("PUT", _REQUEST): self.edit,
            ("GET", f"{_REQUEST}/notes"): self.notes,
            ("POST", f"{_REQUEST}/notes"): self.add_note,
            ("PUT", f"{_REQUEST}/notes/{{note_id}}"): self.edit_note,
            ("POST", f"{_PROJECT}/statuses/{{sha}}"): self.check,
            ("GET", f"{_PROJECT}/issues"): self.issues,
            ("POST", f"{_PROJECT}/issues"): self.add_issue,
            ("GET", _ISSUE): self.issue,
            ("PUT", _ISSUE): self.edit_issue,
            ("POST", f"{_ISSUE}/notes"): self.add_issue_note,
        }

    def token(self, headers: Any) -> str:
        return str(headers.get("private-token", ""))

    def has(self, asked: Asked) -> bool:
        return asked.values["id"] == REPOSITORY

    def refusal(self, status: int, words: str) -> Any:
        return status, {"message": f"{status} {words}"}

    def requests(self, asked: Asked) -> Answer:
        listed = self.state.open_pulls(asked.query["source_branch"])
        return self.paged(asked, [self._request(pull) for pull in listed])

    def open(self, asked: Asked) -> Answer:
        body = asked.body
        pull = self.state.add_pull(body["source_branch"], body["target_branch"], body["title"], body["description"])
        return Answer(self._request(pull), 201)

    def edit(self, asked: Asked) -> Answer:
        pull, body = self.state.pull(asked.values["merge_request_iid"]), asked.body
        pull.title, pull.body, pull.target = body["title"], body["description"], body["target_branch"]
        return Answer(self._request(pull))

    def notes(self, asked: Asked) -> Answer:
        listed = self.state.pull(asked.values["merge_request_iid"]).comments
        return self.paged(asked, [self._note(each) for each in reversed(listed)])

    def add_note(self, asked: Asked) -> Answer:
        pull = self.state.pull(asked.values["merge_request_iid"])
        return Answer(self._note(self.state.add_comment(pull, asked.body["body"])), 201)

    def edit_note(self, asked: Asked) -> Answer:
        note = self.state.comment(asked.values["note_id"])
        note.body = asked.body["body"]
        return Answer(self._note(note))

    def check(self, asked: Asked) -> Answer:
        self.state.checks[asked.values["sha"], asked.body["name"]] = asked.body
        return Answer({"id": self.state.next(), **asked.body}, 201)

    def issues(self, asked: Asked) -> Answer:
        wanted = set(asked.query["labels"].split(","))
        listed = [each for each in self.state.issues if each.state == "open" and wanted <= set(each.labels)]
        return self.paged(asked, [self._issue(each) for each in listed])

    def add_issue(self, asked: Asked) -> Answer:
        body = asked.body
        labels = tuple(body["labels"].split(","))
        return Answer(self._issue(self.state.add_issue(body["title"], body["description"], labels)), 201)

    def issue(self, asked: Asked) -> Answer:
        return Answer(self._issue(self.state.issue(asked.values["issue_iid"])))

    def edit_issue(self, asked: Asked) -> Answer:
        issue = self.state.issue(asked.values["issue_iid"])
        issue.title, issue.body = asked.body.get("title", issue.title), asked.body.get("description", issue.body)
        issue.state = {"close": "closed", "reopen": "open"}.get(asked.body.get("state_event"), issue.state)
        return Answer(self._issue(issue))

    def add_issue_note(self, asked: Asked) -> Answer:
        issue = self.state.issue(asked.values["issue_iid"])
        return Answer(self._note(self.state.add_comment(issue, asked.body["body"])), 201)

    def paged(self, asked: Asked, values: list[Any]) -> Answer:
        page, size = int(asked.query.get("page", 1)), int(asked.query.get("per_page", 20))
        rest = "&".join(f"{key}={value}" for key, value in {**asked.query, "page": str(page + 1)}.items())
        more = len(values) > page * size
        headers = {"Link": f'<{self.state.url}{asked.address}?{rest}>; rel="next"'} if more else {}
        return Answer(values[(page - 1) * size : page * size], headers=headers)

    def _request(self, pull: Pull) -> dict[str, Any]:
        return {
            "id": 1000 + pull.number,
            "iid": pull.number,
            "title": pull.title,
            "web_url": f"{self.page}/-/merge_requests/{pull.number}",
            "source_branch": pull.source,
            "target_branch": pull.target,
            "source_project_id": 2 if pull.fork else 1,
            "target_project_id": 1,
            "sha": self.state.head(pull.source),
        }

    def _note(self, note: Text) -> dict[str, Any]:
        return {"id": note.id, "body": note.body}

    def _issue(self, issue: Text) -> dict[str, Any]:
        return {
            "id": 1000 + issue.id,
            "iid": issue.id,
            "title": issue.title,
            "description": issue.body,
            "state": _STATES.get(issue.state, issue.state),
            "web_url": f"{self.page}/-/issues/{issue.id}",
        }
