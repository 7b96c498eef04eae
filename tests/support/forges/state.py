"""What a forge remembers of one repository, however it calls it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

OWNER, SLUG = "team", "models"
REPOSITORY = f"{OWNER}/{SLUG}"


@dataclass
class Text:
    """A comment, or an issue with its comments."""

    id: int
    body: str
    title: str = ""
    state: str = "open"
    labels: tuple[str, ...] = ()
    version: int = 0
    comments: list["Text"] = field(default_factory=list)


@dataclass
class Pull:
    """A pull request; one of a fork has its branch elsewhere."""

    number: int
    source: str
    target: str
    title: str
    body: str
    version: int = 0
    fork: bool = False
    open: bool = True
    comments: list[Text] = field(default_factory=list)


@dataclass
class Remembered:
    """Everything; `head` says which commit a branch is at."""

    url: str
    head: Callable[[str], str] = lambda branch: "0" * 40
    pulls: list[Pull] = field(default_factory=list)
    issues: list[Text] = field(default_factory=list)
    # By commit and name, as the forge was sent them.
    checks: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _last: int = 0

    def next(self) -> int:
        self._last += 1
        return self._last

    def open_pulls(self, branch: str | None = None) -> list[Pull]:
        return [pull for pull in self.pulls if pull.open and branch in (None, pull.source)]

    def pull(self, number: Any) -> Pull:
        return next(pull for pull in self.pulls if pull.number == int(number))

    def add_pull(self, source: str, target: str, title: str, body: str) -> Pull:
        if any(not pull.fork for pull in self.open_pulls(source)):
            raise Refused(409, "there is an open one of this branch already")
        pull = Pull(len(self.pulls) + 1, source, target, title, body)
        self.pulls.append(pull)
        return pull

    def issue(self, number: Any) -> Text:
        known = next((issue for issue in self.issues if issue.id == int(number)), None)
        if known is None:
            raise Refused(404, "Not Found")
        return known

    def add_issue(self, title: str, body: str, labels: tuple[str, ...]) -> Text:
        issue = Text(len(self.issues) + 1, body, title, labels=labels)
        self.issues.append(issue)
        return issue

    def add_comment(self, to: Pull | Text, body: str) -> Text:
        comment = Text(self.next(), body)
        to.comments.append(comment)
        return comment

    def comment(self, number: Any) -> Text:
        texts = [*self.pulls, *self.issues]
        return next(each for text in texts for each in text.comments if each.id == int(number))


class Refused(Exception):
    """An answer that is none: status and words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


@dataclass(frozen=True)
class Asked:
    """A request that the published document allows."""

    path: str
    values: dict[str, str]
    query: dict[str, str]
    body: Any
    # Of the request, without its query.
    address: str


@dataclass(frozen=True)
class Answer:
    """What goes back, as JSON."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Route = Callable[[Asked], Answer]
