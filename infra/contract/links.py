"""Where people look at what a trace names: section `links` of the base."""

import re
from typing import Annotated

from pydantic import Field, field_validator

from infra.contract.fields import Section

# Keys as Jira has them: a project and a number.
_REQUIREMENT = r"\b[A-Z][A-Z0-9_]+-[1-9][0-9]*\b"

Template = Annotated[
    str,
    Field(
        pattern=r"^https?://[^\s{}@]+\{id\}[^\s{}]*$",
        description="an http or https URL with {id} once, where the id belongs: https://jira.example.com/browse/{id}",
    ),
]


class Links(Section):
    """URL templates of what a trace names, and how requirements are written in commit messages."""

    commit: Template | None = None
    requirement: Template | None = None
    page: Template | None = None
    run: Template | None = None
    log: Template | None = None
    requirement_pattern: str = Field(
        default=_REQUIREMENT,
        min_length=1,
        description="a regular expression for the ids of requirements in commit messages, such as ABC-[0-9]+",
    )

    @field_validator("requirement_pattern")
    @classmethod
    def _compiles(cls, given: str) -> str:
        try:
            # One that matches nothing at all would find an id between any two letters.
            usable = re.compile(given).match("") is None
        except re.error:
            usable = False
        if not usable:
            raise ValueError("a regular expression that matches ids of requirements, and no empty text")
        return given
