"""A Bitbucket Cloud, and a Bitbucket Data Center, of one repository."""

from typing import Any

from tests.support.forges.state import OWNER, REPOSITORY, SLUG, Answer, Asked, Pull, Refused, Remembered, Route, Text

_CLOUD = "/repositories/{workspace}/{repo_slug}"
_CLOUD_PULL = f"{_CLOUD}/pullrequests/{{pull_request_id}}"
_SERVER = "/projects/{projectKey}/repos/{repositorySlug}"
_SERVER_PULL = f"{_SERVER}/pull-requests/{{pullRequestId}}"


def _bearer(headers: Any) -> str:
    return str(headers.get("authorization", "")).removeprefix("Bearer ")


class CloudHost:
    name, prefix = "bitbucket-cloud", "/2.0"

    def __init__(self, state: Remembered) -> None:
        self.state = state
        self.page = f"https://bitbucket.org/{REPOSITORY}"
        self.routes: dict[tuple[str, str], Route] = {
            ("GET", f"{_CLOUD}/pullrequests"): self.pulls,
            ("POST", f"{_CLOUD}/pullrequests"): self.open,
            ("PUT", _CLOUD_PULL): self.edit,
            ("GET", f"{_CLOUD_PULL}/comments"): self.comments,
            ("POST", f"{_CLOUD_PULL}/comments"): self.add_comment,
            ("PUT", f"{_CLOUD_PULL}/comments/{{comment_id}}"): self.edit_comment,
            ("POST", f"{_CLOUD}/commit/{{commit}}/statuses/build"): self.check,
        }

    def token(self, headers: Any) -> str:
        return _bearer(headers)

    def has(self, asked: Asked) -> bool:
        return (asked.values["workspace"], asked.values["repo_slug"]) == (OWNER, SLUG)

    def refusal(self, status: int, words: str) -> Any:
        return status, {"type": "error", "error": {"message": words}}

    def pulls(self, asked: Asked) -> Answer:
        branch = asked.query["q"].removeprefix('source.branch.name = "').removesuffix('"')
        return self.paged(asked, [self._pull(each) for each in self.state.open_pulls(branch)])

    def open(self, asked: Asked) -> Answer:
        body = asked.body
        source, target = body["source"]["branch"]["name"], body["destination"]["branch"]["name"]
        return Answer(self._pull(self.state.add_pull(source, target, body["title"], body["description"])), 201)

    def edit(self, asked: Asked) -> Answer:
        pull, body = self.state.pull(asked.values["pull_request_id"]), asked.body
        pull.title, pull.body, pull.target = body["title"], body["description"], body["destination"]["branch"]["name"]
        return Answer(self._pull(pull))

    def comments(self, asked: Asked) -> Answer:
        listed = self.state.pull(asked.values["pull_request_id"]).comments
        return self.paged(asked, [self._comment(each) for each in listed])

    def add_comment(self, asked: Asked) -> Answer:
        pull = self.state.pull(asked.values["pull_request_id"])
        return Answer(self._comment(self.state.add_comment(pull, asked.body["content"]["raw"])), 201)

    def edit_comment(self, asked: Asked) -> Answer:
        comment = self.state.comment(asked.values["comment_id"])
        comment.body = asked.body["content"]["raw"]
        return Answer(self._comment(comment))

    def check(self, asked: Asked) -> Answer:
        self.state.checks[asked.values["commit"], asked.body["key"]] = asked.body
        return Answer(asked.body, 201)

    def paged(self, asked: Asked, values: list[Any]) -> Answer:
        page, size = int(asked.query.get("page", 1)), int(asked.query.get("pagelen", 10))
        body: dict[str, Any] = {"values": values[(page - 1) * size : page * size], "page": page}
        if len(values) > page * size:
            body["next"] = f"{self.state.url}{asked.address}?pagelen={size}&page={page + 1}"
        return Answer(body)

    def _pull(self, pull: Pull) -> dict[str, Any]:
        return {
            "id": pull.number,
            "title": pull.title,
            "links": {"html": {"href": f"{self.page}/pull-requests/{pull.number}"}},
            "source": {
                "branch": {"name": pull.source},
                "commit": {"hash": self.state.head(pull.source)},
                "repository": {"full_name": f"somebody/{SLUG}" if pull.fork else REPOSITORY},
            },
            "destination": {"branch": {"name": pull.target}},
        }

    def _comment(self, comment: Text) -> dict[str, Any]:
        return {
            "id": comment.id,
            "content": {"raw": comment.body},
            "links": {"html": {"href": f"{self.page}#comment-{comment.id}"}},
        }


class DataCenterHost:
    name, prefix = "bitbucket-data-center", "/rest/api/latest"

    def __init__(self, state: Remembered) -> None:
        self.state = state
        self.page = f"{state.url}/projects/{OWNER}/repos/{SLUG}"
        self.routes: dict[tuple[str, str], Route] = {
            ("GET", f"{_SERVER}/pull-requests"): self.pulls,
            ("POST", f"{_SERVER}/pull-requests"): self.open,
            ("PUT", _SERVER_PULL): self.edit,
            ("GET", f"{_SERVER_PULL}/activities"): self.activities,
            ("POST", f"{_SERVER_PULL}/comments"): self.add_comment,
            ("PUT", f"{_SERVER_PULL}/comments/{{commentId}}"): self.edit_comment,
            ("POST", f"{_SERVER}/commits/{{commitId}}/builds"): self.check,
        }

    def token(self, headers: Any) -> str:
        return _bearer(headers)

    def has(self, asked: Asked) -> bool:
        return (asked.values["projectKey"], asked.values["repositorySlug"]) == (OWNER, SLUG)

    def refusal(self, status: int, words: str) -> Any:
        return status, {"errors": [{"message": words}]}

    def pulls(self, asked: Asked) -> Answer:
        branch = asked.query["at"].removeprefix("refs/heads/")
        listed = [each for each in self.state.open_pulls(branch) if not each.fork]
        return self.paged(asked, [self._pull(each) for each in listed])

    def open(self, asked: Asked) -> Answer:
        body = asked.body
        source, target = (body[key]["id"].removeprefix("refs/heads/") for key in ("fromRef", "toRef"))
        return Answer(self._pull(self.state.add_pull(source, target, body["title"], body["description"])), 201)

    def edit(self, asked: Asked) -> Answer:
        pull, body = self.state.pull(asked.values["pullRequestId"]), asked.body
        if body["version"] != pull.version:
            raise Refused(409, "the pull request was changed meanwhile")
        pull.title, pull.body, pull.version = body["title"], body["description"], pull.version + 1
        pull.target = body["toRef"]["id"].removeprefix("refs/heads/")
        return Answer(self._pull(pull))

    def activities(self, asked: Asked) -> Answer:
        comments = self.state.pull(asked.values["pullRequestId"]).comments
        listed = [{"action": "COMMENTED", "comment": self._comment(each)} for each in reversed(comments)]
        return self.paged(asked, [*listed, {"action": "OPENED"}])

    def add_comment(self, asked: Asked) -> Answer:
        pull = self.state.pull(asked.values["pullRequestId"])
        return Answer(self._comment(self.state.add_comment(pull, asked.body["text"])), 201)

    def edit_comment(self, asked: Asked) -> Answer:
        comment = self.state.comment(asked.values["commentId"])
        if asked.body["version"] != comment.version:
            raise Refused(409, "the comment was changed meanwhile")
        comment.body, comment.version = asked.body["text"], comment.version + 1
        return Answer(self._comment(comment))

    def check(self, asked: Asked) -> Answer:
        self.state.checks[asked.values["commitId"], asked.body["key"]] = asked.body
        return Answer(None, 204)

    def paged(self, asked: Asked, values: list[Any]) -> Answer:
        start, size = int(asked.query.get("start", 0)), int(asked.query.get("limit", 25))
        last = len(values) <= start + size
        body = {"values": values[start : start + size], "isLastPage": last}
        return Answer(body if last else {**body, "nextPageStart": start + size})

    def _pull(self, pull: Pull) -> dict[str, Any]:
        return {
            "id": pull.number,
            "version": pull.version,
            "title": pull.title,
            "reviewers": [],
            "links": {"self": [{"href": f"{self.page}/pull-requests/{pull.number}"}]},
            "fromRef": {"displayId": pull.source, "latestCommit": self.state.head(pull.source)},
            "toRef": {"displayId": pull.target},
        }

    def _comment(self, comment: Text) -> dict[str, Any]:
        return {"id": comment.id, "version": comment.version, "text": comment.body}
