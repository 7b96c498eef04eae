"""Feedback on a release: an error, a change request, a wrong prediction; `stacks/feedback/<model>/<id>.yaml`."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field

from infra.contract.fields import EnvironmentName, Name, ReleaseId, Section
from infra.contract.problems import ConfigError, KeyPath, Problem, show, suggest
from infra.contract.provenance import Time
from infra.contract.reading import differing, read
from infra.contract.release import Releases, number

FEEDBACK_ID = r"^[0-9]{8}-[0-9a-f]{8}$"


class Kind(StrEnum):
    """What somebody has to say of a release."""

    ERROR = "error"
    CHANGE = "change"
    PREDICTION = "prediction"


class FeedbackMetadata(Section):
    """Of which model it is, and who has recorded it when."""

    model: Name
    id: str = Field(pattern=FEEDBACK_ID, description="the day and eight hexadecimal digits: 20260131-3f2a9c1d")
    created: Time
    by: str = Field(min_length=1, description="who has recorded it")


class About(Section):
    """What it is about."""

    kind: Kind = Field(description="error, change (a request) or prediction (a wrong one)")
    title: str = Field(min_length=1, max_length=200, description="one line of at most 200 characters")
    release: ReleaseId
    environment: EnvironmentName | None = Field(default=None, description="where it was seen")
    prediction: str | None = Field(default=None, min_length=1, description="the request id of a prediction")
    requirement: str | None = Field(default=None, min_length=1, description="the requirement that it is about: ABC-12")


class Feedback(Section):
    """What was said of a release, until a later one answers it."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    kind: Literal["Feedback"] = Field(description="Feedback")
    metadata: FeedbackMetadata
    about: About
    issue: str | None = Field(default=None, pattern=r"^https?://\S+$", description="the address of its issue")
    answered_by: ReleaseId | None = Field(default=None, description="the later release that answers it")

    def is_open_in(self, release: str) -> bool:
        """Return whether a release has what was said of it, or of an earlier one, and is not answered yet."""
        answered = self.answered_by is not None and number(release) >= number(self.answered_by)
        return number(release) >= number(self.about.release) and not answered


@dataclass(frozen=True)
class FeedbackFolder:
    """The folder of feedback, `stacks/feedback`; `name` is the folder's name in messages."""

    folder: Path
    releases: Releases
    name: str = "stacks/feedback"

    def models(self) -> list[str]:
        """Return the models of which there is feedback, sorted."""
        return sorted(path.name for path in self.folder.glob("*") if path.is_dir())

    def ids(self, model: str) -> list[str]:
        """Return the ids of a model's feedback, oldest first."""
        return sorted(file.stem for file in (self.folder / model).glob("*.yaml"))

    def file(self, model: str, identity: str) -> Path:
        """Return where feedback is, or would be written."""
        return self.folder / model / f"{identity}.yaml"

    def file_name(self, model: str, identity: str) -> str:
        """Return the file of feedback as messages name it."""
        return f"{self.name}/{model}/{identity}.yaml"

    def of(self, model: str) -> list[Feedback]:
        """Return all feedback on a model, oldest first; raise ConfigError naming every wrong value by line."""
        return [self.load(model, identity) for identity in self.ids(model)]

    def load(self, model: str, identity: str) -> Feedback:
        """Return feedback; raise ConfigError naming what there is, or every wrong value by line."""
        name = self.file_name(model, identity)
        if not self.file(model, identity).is_file():
            known = self.ids(model)
            raise ConfigError(
                f"{name}: there is no such feedback; on {model}: {', '.join(known) or 'none'}; "
                + suggest(identity, known, "see `stellwerk feedback list`")
            )
        document, source = read(self.file(model, identity), name, Feedback)
        said = document.metadata
        expected: list[tuple[KeyPath, object, object]] = [
            (("metadata", "model"), said.model, model),
            (("metadata", "id"), said.id, identity),
        ]
        wrong = differing(expected, "let the file have the name of what is in it") + list(self._unknown(document))
        if wrong:
            raise source.error(wrong)
        return document

    def _unknown(self, document: Feedback) -> Iterator[Problem]:
        """Yield what is wrong with the releases that feedback names."""
        about, model = document.about.release, document.metadata.model
        for path, release in ((("about", "release"), about), (("answeredBy",), document.answered_by)):
            if release is not None and not self.releases.file(model, release).is_file():
                known = self.releases.ids(model)
                allowed = f"a release of {model}: {', '.join(known) or 'none yet'}"
                yield Problem(path, show(release), allowed, suggest(release, known, "name one of them"))
        if document.answered_by is not None and number(document.answered_by) <= number(about):
            allowed = f"a later release than {about}"
            yield Problem(("answeredBy",), show(document.answered_by), allowed, "name the release that answers it")
