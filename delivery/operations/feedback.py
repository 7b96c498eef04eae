"""`stellwerk feedback`: what is said of a release, as a file in git and, where wanted, as an issue of the forge."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from delivery import stackfile
from delivery.clients.author import author
from delivery.clients.forges.forge import Forge
from delivery.document import Document
from delivery.errors import DeliveryError, system_errors
from delivery.operations.writing import as_text
from delivery.project import Project
from delivery.session import Session
from infra.contract.feedback import About, Feedback, FeedbackMetadata, Kind
from infra.contract.release import number

_COMMENT = "Written by `stellwerk feedback add`; `stellwerk feedback answer` names the release that answers it."


@dataclass(frozen=True)
class Said:
    """What somebody has to say of a model, before it is known of which release."""

    kind: Kind
    title: str
    release: str | None = None
    environment: str | None = None
    prediction: str | None = None
    requirement: str | None = None


@dataclass(frozen=True)
class Noted:
    """Feedback in a line, as plan and status show it."""

    id: str
    kind: str
    title: str
    release: str
    requirement: str | None
    issue: str | None

    def __str__(self) -> str:
        more = ", ".join(filter(None, (f"on {self.release}", self.requirement, self.issue)))
        return f"{self.kind} {self.id}: {self.title} ({more})"


def open_feedback(project: Project, model: str, release: str | None = None) -> tuple[Feedback, ...]:
    """Return what was said of a release or of an earlier one and that it does not answer, oldest first.

    Without a release: what no release answers. Raise ConfigError where a file is not valid.
    """
    known = project.feedback.of(model)
    if release is None:
        return tuple(each for each in known if each.answered_by is None)
    return tuple(each for each in known if each.is_open_in(release))


def noted(feedback: Feedback) -> Noted:
    """Return feedback in a line."""
    about = feedback.about
    return Noted(
        feedback.metadata.id, about.kind.value, about.title, about.release, about.requirement, feedback.issue
    )  # fmt: skip


def add(session: Session, model: str, said: Said, forge: Callable[[], Forge] | None) -> Feedback:
    """Record what is said on the release that it is about; with a forge, open an issue, too.

    Without a release it is about the one that the environment serves. Raise DeliveryError or ConfigError where there is
    no such release, or where the forge refuses; nothing is written then.
    """
    project = session.project
    release = said.release or _served(session, model, said.environment)
    project.releases.load(model, release)
    if said.environment is not None:
        project.files.require(said.environment)
    now = datetime.now(UTC)
    about = About(
        kind=said.kind,
        title=said.title,
        release=release,
        environment=said.environment,
        prediction=said.prediction,
        requirement=said.requirement,
    )
    digest = sha256(f"{now.isoformat()} {about.model_dump_json()}".encode()).hexdigest()
    created = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    by = author(project.root, session.variables)
    metadata = FeedbackMetadata(model=model, id=f"{now:%Y%m%d}-{digest[:8]}", created=created, by=by)
    head = {"apiVersion": "stellwerk.dev/v1", "kind": "Feedback"}
    document = Feedback.model_validate({**head, "metadata": metadata, "about": about})
    if forge is not None:
        issue = forge().open_issue(_marker(document), said.title, "\n".join(_body(document)), (said.kind.value,))
        document = document.model_copy(update={"issue": issue.url})
    file, name = project.feedback.file(model, metadata.id), project.feedback.file_name(model, metadata.id)
    with system_errors(f"writing {name}", "make its folder writable, and try again"):
        file.parent.mkdir(parents=True, exist_ok=True)
    stackfile.write(file, name, as_text(document, _COMMENT))
    return document


def _served(session: Session, model: str, environment: str | None) -> str:
    if environment is None:
        raise DeliveryError("of which release? name it with --release, or the environment that serves it with --env")
    session.project.model(environment, model)
    release = session.engine.served(environment, model)
    if release is None:
        raise DeliveryError(f"{environment} serves no release of {model}; name the release with --release")
    return release


def _marker(feedback: Feedback) -> str:
    return f"feedback-{feedback.metadata.id}"


def _body(feedback: Feedback) -> Iterator[str]:
    """Yield the lines of the issue's text."""
    metadata, about = feedback.metadata, feedback.about
    yield f"`{about.kind.value}` on release `{about.release}` of `{metadata.model}`, recorded by {metadata.by}."
    for word, value in (("Environment", about.environment), ("Prediction", about.prediction)):
        if value is not None:
            yield f"{word}: `{value}`"
    if about.requirement is not None:
        yield f"Requirement: {about.requirement}"
    yield f"\nAnswered by `stellwerk feedback answer {metadata.id} --release …`"


def answer(session: Session, identity: str, release: str, forge: Callable[[], Forge]) -> Feedback:
    """Note that a release answers feedback, and close its issue if it has one.

    Raise DeliveryError or ConfigError where there is no such feedback or release, where the release is no later one,
    where another one answers it already, or where the forge refuses; nothing is written then.
    """
    project = session.project
    feedback = find(project, identity)
    model = feedback.metadata.model
    project.releases.load(model, release)
    if number(release) <= number(feedback.about.release):
        raise DeliveryError(f"{identity} is about {feedback.about.release}, and {release} is no later release")
    if feedback.answered_by not in (None, release):
        raise DeliveryError(f"{identity}: {feedback.answered_by} answers it already; edit the file to name another one")
    if feedback.issue is not None:
        client = forge()
        if (issue := client.find_issue(_marker(feedback))) is not None:
            client.close_issue(issue.number, f"Answered by release `{release}` of `{model}`.")
    if feedback.answered_by is None:
        file, name = project.feedback.file(model, identity), project.feedback.file_name(model, identity)
        document = Document(file.read_bytes().decode(), name)
        document.insert(document.root, document.root.pairs[-1], "answeredBy", release)
        stackfile.write(file, name, document.edited())
    return project.feedback.load(model, identity)


def find(project: Project, identity: str) -> Feedback:
    """Return feedback by its id; raise DeliveryError where there is none."""
    for model in project.feedback.models():
        if identity in project.feedback.ids(model):
            return project.feedback.load(model, identity)
    raise DeliveryError(f"{identity}: there is no such feedback; see `stellwerk feedback list --all`")
