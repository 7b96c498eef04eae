"""The chain from a requirement to a prediction: its links, each with the record that proves it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ParamSpec, TypeVar

from infra.contract.errors import StellwerkError

Answer = TypeVar("Answer")
Given = ParamSpec("Given")


class Kind(StrEnum):
    """A link of the chain, in its order."""

    PAGE = "page"
    REQUIREMENT = "requirement"
    COMMIT = "commit"
    DATA = "data"
    RUN = "run"
    EVALUATION = "evaluation"
    RELEASE = "release"
    IMAGE = "images"
    UPDATE = "stack update"
    POD = "pod"
    LINE = "log line"
    PREDICTION = "prediction"
    FEEDBACK = "feedback"


class State(StrEnum):
    """What is known of a link."""

    PROVED = "proved"
    PARTLY = "partly looked at"
    UNKNOWN = "not looked at"
    NONE = "none"
    CONTRADICTED = "contradiction"


@dataclass(frozen=True)
class Item:
    """Something that a link names: its id, what is known about it, and where people look at it."""

    name: str
    about: str = ""
    url: str | None = None


@dataclass(frozen=True)
class Link:
    """A link of the chain; `record` is where it was looked up.

    `unknown` says why it, or a part of it, was not looked at; `contradictions` what other records say against it.
    """

    kind: Kind
    record: str
    items: tuple[Item, ...] = ()
    unknown: str | None = None
    contradictions: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """Return what is known of the link."""
        if self.contradictions:
            return State.CONTRADICTED
        if self.unknown:
            return State.PARTLY if self.items else State.UNKNOWN
        return State.PROVED if self.items else State.NONE


@dataclass(frozen=True)
class Chain:
    """The links of one release of a model; `environment` where the chain is that of one."""

    model: str
    release: str | None
    environment: str | None
    links: tuple[Link, ...]

    @property
    def contradictions(self) -> list[str]:
        """Return what contradicts, over all links."""
        return [f"{link.kind}: {each}" for link in self.links for each in link.contradictions]


@dataclass(frozen=True)
class Trace:
    """The answer to a question: a chain for each release that it leads to; `answered` is whether anybody could say."""

    model: str
    asked: str
    chains: tuple[Chain, ...]
    answered: bool = True


@dataclass(frozen=True)
class NotAsked:
    """Why something could not be asked."""

    why: str


def asked(question: Callable[Given, Answer], *given: Given.args, **named: Given.kwargs) -> Answer | NotAsked:
    """Return an answer, or why there is none: one record that is not there is no error of the whole chain."""
    try:
        return question(*given, **named)
    except StellwerkError as error:
        return NotAsked(" ".join(str(error).split()))
