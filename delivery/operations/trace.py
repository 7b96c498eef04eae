"""`stellwerk trace`: from a requirement to its predictions, and from a prediction to its requirement."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from components.kit.names import MODEL_FIELD, RELEASE_FIELD
from delivery.clients import tickets
from delivery.clients.ancestry import Record
from delivery.errors import DeliveryError
from delivery.operations.chain import Chain, Kind, Link, NotAsked, Trace, asked
from delivery.operations.stays import current
from delivery.operations.trace_documents import Documents, image_link
from delivery.operations.trace_records import Line, Records
from delivery.session import Session
from infra.contract.release import Release
from infra.contract.stacks import BASE

_AT_ONCE = 8
# Not among the links that a prediction without its log line is known to have, and nobody knows.
_ELSEWHERE = (Kind.PAGE, Kind.LINE, Kind.FEEDBACK)


@dataclass(frozen=True)
class Question:
    """What is traced: what an environment serves, else one of the three; then `environment` is where it is looked."""

    model: str
    environment: str | None = None
    prediction: str | None = None
    requirement: str | None = None
    commit: str | None = None


def trace(session: Session, question: Question) -> Trace:
    """Return the chains that a question leads to, found from records alone; nothing is changed, no engine started.

    Raise DeliveryError or ConfigError where there is no such model, environment, prediction or commit.
    """
    return _Tracer(session, question).answer()


class _Tracer:
    def __init__(self, session: Session, question: Question) -> None:
        project, self.question, self.model = session.project, question, question.model
        names = [question.environment] if question.environment else list(project.environments)
        values = project.environment(names[0]) if names else None
        if values is None:
            raise DeliveryError(f"this checkout has no environment: write {BASE} and a stack file")
        lookup = tickets.of(values, project.root, session.variables)
        self.documents = Documents(project, self.model, values.links, lookup)
        self.records = Records(session, self.model, names, values.links)
        if not project.releases.ids(self.model):
            project.models.load(self.model)
            raise DeliveryError(f"{self.model} has no release yet; run `stellwerk release {self.model}`")

    def answer(self) -> Trace:
        with ThreadPoolExecutor(_AT_ONCE) as self.pool:
            if self.question.prediction is not None:
                return self._of_prediction(self.question.prediction)
            if self.question.requirement is not None:
                return self._of_requirement(self.question.requirement)
            if self.question.commit is not None:
                return self._of_commit(self.question.commit)
            return self._of_environment(str(self.question.environment))

    def _of_environment(self, environment: str) -> Trace:
        asked_for = f"{self.model} in {environment}"
        known = self.records.history[environment]
        stay = current(self.records.stays.get(environment, ()))
        if isinstance(known, NotAsked) or stay is None or stay.release is None:
            why = known.why if isinstance(known, NotAsked) else f"no update of {environment} has a release of it"
            raise DeliveryError(f"{asked_for}: {why}; see `stellwerk status`")
        return Trace(self.model, asked_for, tuple(self._forward([stay.release], environment)))

    def _of_prediction(self, identity: str) -> Trace:
        asked_for = f"prediction {identity}"
        lines = self.records.lines(identity, self.question.environment)
        if isinstance(lines, NotAsked):
            why = "without the log line nobody knows which release answered"
            behind = [Link(kind, "the log line", (), why) for kind in Kind if kind not in _ELSEWHERE]
            links = (*behind[:-1], Link(Kind.LINE, "the log store", (), lines.why), behind[-1])
            return Trace(self.model, asked_for, (Chain(self.model, None, None, links),), answered=False)
        if not lines:
            raise DeliveryError(
                f"{asked_for}: the log store has no line with this request id; a line comes seconds after its answer: "
                f"`stellwerk logs --request-id {identity} --wait`"
            )
        # A client may give one id to requests of several models.
        lines = [each for each in lines if each.get(MODEL_FIELD) == self.model] or lines
        line, name = lines[0], str(lines[0].get(RELEASE_FIELD))
        more = [f"it is of the model {line.get(MODEL_FIELD)}"] if line.get(MODEL_FIELD) != self.model else []
        others = sorted({str(each.get(RELEASE_FIELD)) for each in lines} - {name})
        if others:
            more.append(f"other lines with this request id name {', '.join(others)}")
        release = asked(self.documents.load, name)
        if isinstance(release, NotAsked):
            return Trace(self.model, asked_for, (self._without_file(name, release.why, line, None, more),))
        where = self.records.environment_of(line)
        self.records.start(self.pool, [release], [where] if where else [])
        ending = self.records.line_links(line, None, more)
        return Trace(self.model, asked_for, (self._chain(release, ending, line),))

    def _of_requirement(self, key: str) -> Trace:
        named = [
            record
            for record in self.documents.commits.log(set(self.documents.trained.values()), (), self.documents.sources)
            if key in self.documents.requirements_in(record)
        ]
        stated = {name for name in self._names() if key in self._requirements(name)}
        containing = [name for name in self._names() if name in stated or self._contains(name, named)]
        return self._all(f"requirement {key}", containing, named)

    def _of_commit(self, revision: str) -> Trace:
        commits = self.documents.commits
        record = commits.one(commits.commit(revision))
        containing = [name for name in self._names() if self._contains(name, [record])]
        return self._all(f"commit {record.id[:12]}", containing, [record])

    def _all(self, asked_for: str, releases: Sequence[str], records: Sequence[Record]) -> Trace:
        if not releases:
            raise DeliveryError(
                f"{asked_for}: no release of {self.model} contains it; releases: {', '.join(self._names())}; ids in "
                "commit messages are found by `links.requirementPattern`"
            )
        return Trace(self.model, asked_for, tuple(self._forward(releases, self.question.environment, records)))

    def _names(self) -> list[str]:
        return self.documents.project.releases.ids(self.model)

    def _requirements(self, name: str) -> Sequence[str]:
        release = asked(self.documents.load, name)
        return () if isinstance(release, NotAsked) else release.requirements

    def _contains(self, name: str, records: Sequence[Record]) -> bool:
        commit = self.documents.trained.get(name)
        return commit is not None and any(self.documents.commits.contains(commit, each.id) for each in records)

    def _forward(
        self, releases: Sequence[str], environment: str | None, records: Sequence[Record] = ()
    ) -> Iterator[Chain]:
        """Yield the chain of each release, to the newest prediction that it has answered."""
        loaded = {name: asked(self.documents.load, name) for name in releases}
        known = [each for each in loaded.values() if not isinstance(each, NotAsked)]
        self.records.start(self.pool, known, self.records.environments)
        lines = self.records.predictions(releases, environment)
        why = lines.why if isinstance(lines, NotAsked) else None
        for name, release in loaded.items():
            line = None if isinstance(lines, NotAsked) else lines.get(name)
            if isinstance(release, NotAsked):
                yield self._without_file(name, release.why, line, environment, ())
                continue
            wanted = [each for each in records if self._contains(name, [each])]
            ending = self.records.line_links(line, why, self._misplaced(release, line))
            yield self._chain(release, ending, None, environment, wanted)

    def _without_file(
        self, name: str, why: str, line: Line | None, environment: str | None, more: Sequence[str]
    ) -> Chain:
        """Return what is known of a release that other records name and whose file is absent or not right."""
        links = (
            Link(Kind.RELEASE, f"{self.documents.project.releases.name}/{self.model}/", (), None, (why,)),
            self.records.update_link(name, line, environment),
            *self.records.line_links(line, None, more),
        )
        return Chain(self.model, name, environment or (self.records.environment_of(line) if line else None), links)

    def _misplaced(self, release: Release, line: Line | None) -> tuple[str, ...]:
        """Return what the history says against the newest line of a release."""
        if line is None:
            return ()
        return self.records.update_link(release.metadata.release, line, None).contradictions

    def _chain(
        self,
        release: Release,
        ending: Iterator[Link],
        line: Line | None,
        environment: str | None = None,
        wanted: Sequence[Record] = (),
    ) -> Chain:
        """Return the chain of a release; with the line of a prediction, as it was when that was answered."""
        records, name = self.documents.since_before(release), release.metadata.release
        where = environment or (self.records.environment_of(line) if line else None)
        links = (
            *self.documents.requirement_links(release, [*wanted, *records]),
            self.documents.commit_link(release, records, wanted),
            self.documents.data_link(release),
            self.records.run_link(release),
            self.documents.evaluation_link(release),
            self.documents.release_link(release),
            image_link(release),
            self.records.update_link(name, line, environment),
            self.records.pod_link(release, line, environment),
            *ending,
            *self.documents.feedback_links(name),
        )
        return Chain(self.model, name, where, links)
