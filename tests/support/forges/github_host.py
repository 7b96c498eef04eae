"""A GitHub of one repository."""

from typing import Any

from tests.support.forges.state import OWNER, REPOSITORY, SLUG, Answer, Asked, Pull, Remembered, Route, Text

_REPO = "/repos/{owner}/{repo}"


class GitHubHost:
    name, prefix = "github", "/api/v3"

    def __init__(self, state: Remembered) -> None:
        self.state = state
        self.page = f"{state.url}/{REPOSITORY}"
        self.api = f"{state.url}{self.prefix}/repos/{REPOSITORY}"
        self.routes: dict[tuple[str, str], Route] = {
            ("GET", f"{_REPO}/pulls"): self.pulls,
            ("POST", f"{_REPO}/pulls"): self.open,
            ("PATCH", f"{_REPO}/pulls/{{pull_number}}"): self.edit,
            ("GET", f"{_REPO}/issues/{{issue_number}}/comments"): self.comments,
            ("POST", f"{_REPO}/issues/{{issue_number}}/comments"): self.add_comment,
            ("PATCH", f"{_REPO}/issues/comments/{{comment_id}}"): self.edit_comment,
            ("POST", f"{_REPO}/check-runs"): self.check,
            ("GET", f"{_REPO}/issues"): self.issues,
            ("POST", f"{_REPO}/issues"): self.add_issue,
            ("GET", f"{_REPO}/issues/{{issue_number}}"): self.issue,
            ("PATCH", f"{_REPO}/issues/{{issue_number}}"): self.edit_issue,
        }

    def token(self, headers: Any) -> str:
        return str(headers.get("authorization", "")).partition(" ")[2]

    def has(self, asked: Asked) -> bool:
        return (asked.values["owner"], asked.values["repo"]) == (OWNER, SLUG)

    def refusal(self, status: int, words: str) -> Any:
        if status == 409:
            return 422, {"message": "Validation Failed", "errors": [{"message": words}]}
        return status, {"message": words}

    def pulls(self, asked: Asked) -> Answer:
        owner, _, branch = asked.query["head"].partition(":")
        listed = [pull for pull in self.state.open_pulls(branch) if (owner == OWNER) is not pull.fork]
        return self.paged(asked, [self._pull(pull) for pull in listed])

    def open(self, asked: Asked) -> Answer:
        body = asked.body
        pull = self.state.add_pull(body["head"], body["base"], body["title"], body.get("body", ""))
        return Answer(self._pull(pull), 201)

    def edit(self, asked: Asked) -> Answer:
        pull = self.state.pull(asked.values["pull_number"])
        pull.title, pull.body, pull.target = asked.body["title"], asked.body["body"], asked.body["base"]
        return Answer(self._pull(pull))

    def comments(self, asked: Asked) -> Answer:
        return self.paged(asked, [self._comment(each) for each in self._commented(asked).comments])

    def add_comment(self, asked: Asked) -> Answer:
        return Answer(self._comment(self.state.add_comment(self._commented(asked), asked.body["body"])), 201)

    def edit_comment(self, asked: Asked) -> Answer:
        comment = self.state.comment(asked.values["comment_id"])
        comment.body = asked.body["body"]
        return Answer(self._comment(comment))

    def check(self, asked: Asked) -> Answer:
        body = asked.body
        self.state.checks[body["head_sha"], body["name"]] = {"state": body["conclusion"], **body["output"]}
        return Answer({"id": self.state.next(), "name": body["name"], "url": f"{self.api}/check-runs/1"}, 201)

    def issues(self, asked: Asked) -> Answer:
        wanted = set(asked.query["labels"].split(","))
        listed = [each for each in self.state.issues if each.state == "open" and wanted <= set(each.labels)]
        return self.paged(asked, [self._issue(each) for each in listed])

    def add_issue(self, asked: Asked) -> Answer:
        body = asked.body
        return Answer(self._issue(self.state.add_issue(body["title"], body["body"], tuple(body["labels"]))), 201)

    def issue(self, asked: Asked) -> Answer:
        return Answer(self._issue(self.state.issue(asked.values["issue_number"])))

    def edit_issue(self, asked: Asked) -> Answer:
        issue = self.state.issue(asked.values["issue_number"])
        for name in asked.body.keys() & {"title", "body", "state"}:
            setattr(issue, name, asked.body[name])
        return Answer(self._issue(issue))

    def paged(self, asked: Asked, values: list[Any]) -> Answer:
        page, size = int(asked.query.get("page", 1)), int(asked.query.get("per_page", 30))
        query = {**asked.query, "page": str(page + 1)}
        rest = "&".join(f"{key}={value}" for key, value in query.items())
        more = len(values) > page * size
        headers = {"Link": f'<{self.state.url}{asked.address}?{rest}>; rel="next"'} if more else {}
        return Answer(values[(page - 1) * size : page * size], headers=headers)

    def _commented(self, asked: Asked) -> Pull | Text:
        # A pull request is an issue, too; here each has numbers of its own.
        number = int(asked.values["issue_number"])
        return self.state.pull(number) if number <= len(self.state.pulls) else self.state.issue(number)

    def _pull(self, pull: Pull) -> dict[str, Any]:
        return {
            "number": pull.number,
            "title": pull.title,
            "body": pull.body,
            "url": f"{self.api}/pulls/{pull.number}",
            "html_url": f"{self.page}/pull/{pull.number}",
            "head": {"ref": pull.source, "sha": self.state.head(pull.source)},
            "base": {"ref": pull.target},
        }

    def _comment(self, comment: Text) -> dict[str, Any]:
        address = {"url": f"{self.api}/issues/comments/{comment.id}", "html_url": f"{self.page}#comment-{comment.id}"}
        return {"id": comment.id, "body": comment.body, **address}

    def _issue(self, issue: Text) -> dict[str, Any]:
        address = {"url": f"{self.api}/issues/{issue.id}", "html_url": f"{self.page}/issues/{issue.id}"}
        return {"number": issue.id, "title": issue.title, "body": issue.body, "state": issue.state, **address}
