"""The links of a chain that stand in git: requirements, commits, data, evaluation, release, images."""

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from urllib.parse import quote

from delivery.clients.ancestry import Ancestry, Record
from delivery.clients.tickets import Lookup, Requirement
from delivery.operations.chain import Item, Kind, Link, NotAsked, asked
from delivery.operations.release_change import model_sources
from delivery.project import Project
from infra.contract.data import is_remote
from infra.contract.links import Links
from infra.contract.release import Release

# What stands in git for a file that is kept elsewhere.
_POINTER = b"version https://git-lfs"
_AT_ONCE = 8
_MERGED = "the release's own document and the messages of its commits"


@dataclass(frozen=True)
class Documents:
    """The releases of a model, with the history of the checkout and where requirements are looked up."""

    project: Project
    model: str
    links: Links
    lookup: Lookup

    @cached_property
    def commits(self) -> Ancestry:
        """The history of the checkout."""
        return Ancestry(self.project.root)

    @cached_property
    def sources(self) -> Sequence[str]:
        """What of the checkout goes into the model's training image."""
        return model_sources(self.project, self.model)

    @cached_property
    def trained(self) -> dict[str, str]:
        """The commit of each release that was trained from one that the checkout has, oldest release first."""
        made: dict[str, str] = {}
        for name in self.project.releases.ids(self.model):
            release = asked(self.load, name)
            commit = None if isinstance(release, NotAsked) else commit_of(release)
            if commit and self.commits.known(commit):
                made[name] = commit
        return made

    def load(self, release: str) -> Release:
        """Return a release; raise ConfigError where its file is absent or not right."""
        return self.project.releases.load(self.model, release)

    def requirements_in(self, record: Record) -> list[str]:
        """Return the ids of requirements in a commit's message."""
        matches = re.finditer(self.links.requirement_pattern, record.message)
        return list(dict.fromkeys(match[0] for match in matches))

    def since_before(self, release: Release) -> list[Record]:
        """Return the commits to the model's sources that came with a release, the newest first."""
        name = release.metadata.release
        if name not in self.trained:
            return []
        names = list(self.trained)
        before = names[: names.index(name)][-1:]
        return self.commits.log([self.trained[name]], [self.trained[each] for each in before], self.sources)

    def requirement_links(self, release: Release, records: Sequence[Record]) -> Iterator[Link]:
        """Yield the requirements that a release answers, and their pages."""
        stated = {name: "in the release file" for name in release.requirements}
        for record in reversed(records):
            for name in self.requirements_in(record):
                stated.setdefault(name, f"in commit {record.id[:12]}")
        if self.links.page and stated:
            pages = (Item(name, "pages that name it", url(self.links.page, name)) for name in stated)
            yield Link(Kind.PAGE, "links.page in stacks/base.yaml", tuple(pages))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            tickets = list(pool.map(lambda name: asked(self.lookup.ticket, name), stated))
        items = [
            item
            for (name, where), ticket in zip(stated.items(), tickets, strict=True)
            for item in self._requirement(name, where, ticket)
        ]
        unknown = dict.fromkeys(ticket.why for ticket in tickets if isinstance(ticket, NotAsked))
        yield Link(Kind.REQUIREMENT, _MERGED, tuple(items), "; ".join(unknown) or None)

    def _requirement(self, name: str, where: str, ticket: Requirement | NotAsked | None) -> Iterator[Item]:
        if isinstance(ticket, Requirement):
            yield Item(name, f"{ticket.title} ({ticket.state}); {where}", ticket.url)
            yield from (Item(page.title, f"page of {name}", page.url) for page in ticket.pages)
            return
        absent = f"; {self.lookup.name} knows no such one" if ticket is None and self.lookup.name else ""
        yield Item(name, f"{where}{absent}", url(self.links.requirement, name))

    def commit_link(self, release: Release, records: Sequence[Record], wanted: Iterable[Record] = ()) -> Link:
        """Return the commits of a release: the one it was trained from, those asked for, and what came with it."""
        record = "git log, and `training.commit` of the release file"
        if release.origin:
            by = release.origin.imported
            return Link(Kind.COMMIT, record, (Item("imported", f"by {by.by} from {by.from_}, {by.created}"),))
        given = release.training.commit if release.training else "unknown"
        commit = commit_of(release)
        if commit is None:
            return Link(Kind.COMMIT, record, (), f"it was trained from no known commit ({given})")
        if not self.commits.known(commit):
            missing = "is not in this checkout's history; run `git fetch`"
            return Link(Kind.COMMIT, record, (Item(commit[:12], "trained from", url(self.links.commit, commit)),),
                        f"{commit[:12]} {missing}")  # fmt: skip
        head = self.commits.one(commit)
        beside = ", with changes that are in no commit" if "+" in given else ""
        items = [self._item(head, f"trained from{beside}: ")]
        others = {each.id: each for each in (*wanted, *records) if each.id != head.id}
        return Link(Kind.COMMIT, record, (*items, *(self._item(each) for each in others.values())))

    def _item(self, record: Record, what: str = "") -> Item:
        about = f"{what}{record.subject} ({record.author}, {record.time})"
        return Item(record.id[:12], about, url(self.links.commit, record.id))

    def data_link(self, release: Release) -> Link:
        """Return the data that a release was trained with; a file in git is held against its digest."""
        data, record = release.data, "`data` of the release file"
        if data is None:
            return Link(Kind.DATA, record)
        rows = f"{data.rows.train} rows to train, {data.rows.held_out} held out"
        source = f", {data.source}" if data.source else ", made by the model's own code"
        item, commit = Item(data.name, f"{rows}{source}, {data.digest}"), commit_of(release)
        if not data.source or is_remote(data.source) or commit is None or not self.commits.known(commit):
            return Link(Kind.DATA, record, (item,))
        path = f"models/{self.model}/{data.source}"
        content = self.commits.content(commit, path)
        if content is None or content.startswith(_POINTER):
            return Link(
                Kind.DATA, record, (item,), f"{path} is not in git at {commit[:12]}: its digest was not compared"
            )
        same = f"sha256:{sha256(content).hexdigest()}" == data.digest
        wrong = f"{path} at commit {commit[:12]} has another digest than the release says"
        beside = release.training is not None and "+" in release.training.commit
        return Link(Kind.DATA, f"{record}, {path} in git", (item,), None, () if same or beside else (wrong,))

    def evaluation_link(self, release: Release) -> Link:
        """Return gates and evidence of a release."""
        name, gates = release.metadata.release, release.evaluation.gates if release.evaluation else ()
        items = [
            Item(gate.metric, f"{gate.value:.4f} {gate.operator} {gate.threshold:g}: {_passed(gate.passed)}")
            for gate in gates
        ]
        evidence, wrong = asked(self.project.evidence.of, self.model, name), []
        record = f"`evaluation` of the release file, {self.project.evidence.name}/{self.model}/{name}/"
        if isinstance(evidence, NotAsked):
            return Link(Kind.EVALUATION, record, tuple(items), None, (evidence.why,))
        for each in evidence:
            said = each.metadata
            items.append(Item(f"{said.environment} {said.gate}", f"{_passed(each.result.passed)}, {said.created}"))
            if (each.subject.artefact, each.subject.serving_image) != (release.artefact.digest, release.serving.image):
                wrong.append(f"the evidence {said.environment}-{said.gate} is of another artefact or image")
        return Link(Kind.EVALUATION, record, tuple(items), None, tuple(wrong))

    def release_link(self, release: Release) -> Link:
        """Return the release with the commit of its file, which must be as it was first committed."""
        name = release.metadata.release
        path = f"{self.project.releases.name}/{self.model}/{name}.yaml"
        about = f"created {release.metadata.created}, artefact {release.artefact.digest}"
        if not self.commits.is_repository:
            return Link(Kind.RELEASE, path, (Item(name, about),), "the checkout is no git repository")
        written = self.commits.of_file(path)
        if not written:
            return Link(Kind.RELEASE, path, (Item(name, f"{about}; in no commit yet"),))
        first = written[-1]
        about += f"; committed by {first.author}, {first.time}, as {first.id[:12]}"
        same = self.commits.content(first.id, path) == (self.project.root / path).read_bytes()
        wrong = "the file is not as it was first committed: releases are never edited; restore it from git"
        item = Item(name, about, url(self.links.commit, first.id))
        return Link(Kind.RELEASE, path, (item,), None, () if same else (wrong,))

    def feedback_links(self, release: str) -> Iterator[Link]:
        """Yield what was said of a release, or of an earlier one and is open in it, if anything was."""
        record = f"{self.project.feedback.name}/{self.model}/"
        feedback = asked(self.project.feedback.of, self.model)
        if isinstance(feedback, NotAsked):
            yield Link(Kind.FEEDBACK, record, (), None, (feedback.why,))
            return
        items = []
        for each in feedback:
            about, answer = each.about, each.answered_by
            if about.release == release or each.is_open_in(release):
                state = f"answered by {answer}" if answer else "open"
                said = f"{about.kind}: {about.title} (on {about.release}, by {each.metadata.by}; {state})"
                items.append(Item(each.metadata.id, said, each.issue))
        if items:
            yield Link(Kind.FEEDBACK, record, tuple(items))


def image_link(release: Release) -> Link:
    """Return the images of a release, by digest."""
    items = [Item(release.serving.image, "serves it")]
    if release.training:
        items.append(Item(release.training.image, f"trained it, Job {release.training.job}"))
    return Link(Kind.IMAGE, "`serving` and `training` of the release file", tuple(items))


def commit_of(release: Release) -> str | None:
    """Return the commit that a release was trained from; None where nobody knows one."""
    given = release.training.commit.partition("+")[0] if release.training else "unknown"
    return None if given in ("unknown", "uncommitted") else given


def url(template: str | None, identity: str) -> str | None:
    """Return the URL that a template makes of an id; None without a template."""
    return template.replace("{id}", quote(identity, safe="")) if template else None


def _passed(passed: bool) -> str:
    return "passed" if passed else "missed"
