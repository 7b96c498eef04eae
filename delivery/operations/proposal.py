"""A move of a pointer as a pull request instead of an update: a branch with the commit, and the plan as its text."""

from collections.abc import Iterator
from dataclasses import dataclass

from delivery.clients.commits import Branches, Commits
from delivery.clients.forges import connect, has_token
from delivery.clients.forges.forge import PullRequest
from delivery.clients.forges.origin import REMOTE, Origin, origin
from delivery.errors import DeliveryError
from delivery.operations import plan_view
from delivery.operations.draft import How, Move, draft
from delivery.operations.plan import Report, plan
from delivery.session import Session
from delivery.stackfile import config, point
from infra.values import NAMESPACE, file_name

# In the message of each commit that this makes: a branch with others is somebody's.
_TRAILER = "Stellwerk-Move:"


@dataclass(frozen=True)
class Proposal:
    """A move for a pull request: which command it is of, and to which release it goes."""

    verb: str
    model: str
    environment: str
    release: str

    @property
    def branch(self) -> str:
        """Return the branch, the same for the same move."""
        return f"stellwerk/{self.verb}-{self.model}-{self.environment}-{self.release}"

    @property
    def title(self) -> str:
        """Return the first line of the commit, and of the pull request."""
        return f"{self.verb.capitalize()} {self.model} to {self.release} in {self.environment}"

    @property
    def message(self) -> str:
        """Return the message of the commit."""
        return f"{self.title}\n\n{_TRAILER} {self.verb} {self.model} {self.environment} {self.release}\n"


def forge_of(session: Session) -> Origin:
    """Return where pull requests are opened; raise DeliveryError, before anything is done, where nobody knows."""
    return origin(session.project.root, session.project.forge, session.variables)


def propose(session: Session, move: Move, how: How, verb: str) -> PullRequest | None:
    """Preview a move, and open or update a pull request with it; None where the release is there already.

    Raise DeliveryError where the move is refused, where it cannot be pushed, and where the forge refuses.
    """
    repository, environment = forge_of(session), move.environment
    with session.backend.locked(environment, how.console):
        shown = draft(session, move, how, shown=True)
    if shown is None or shown.after.release is None:
        return None
    proposal = Proposal(verb, move.model, environment, shown.after.release)
    commits = Commits(session.project.root, REMOTE, session.engine.work)
    branches = commits.branches(proposal.branch)
    files = dict(_files(session, commits, branches, proposal))
    if not files:
        already = f"{branches.main} has {proposal.release} of {move.model} in {environment} already"
        how.console.print(f"{already}: `pulumi up --stack {environment}` applies it", highlight=False, soft_wrap=True)
        return None
    commit = _commit(commits, branches, proposal, files, how)
    report = plan(session, environment, commit)
    if commit != branches.other:
        commits.push(commit, proposal.branch, branches.other)
    return _open(session, repository, branches, proposal, report)


def _files(session: Session, commits: Commits, branches: Branches, proposal: Proposal) -> Iterator[tuple[str, bytes]]:
    """Yield the stack file with the pointer moved, and the documents that belong to it and are not there yet.

    Nothing where the pointer is there: the checkout's own stack file may have other changes, which do not go along.
    """
    name = file_name(proposal.environment)
    given = commits.read(branches.base, name)
    if given is None:
        raise DeliveryError(f"{name} is not in {branches.main} yet; commit and push it first")
    text, place = given.decode(errors="replace"), f"{name} of {branches.main}"
    stated = (config(text, place).get(f"{NAMESPACE}:models") or {}).get(proposal.model) or {}
    if stated.get("release") == proposal.release:
        return
    yield name, point(text, place, proposal.model, proposal.release, stated.get("release")).encode()
    for path in _documents(session, proposal):
        own, merged = (session.project.root / path).read_bytes(), commits.read(branches.base, path)
        if merged is None:
            yield path, own
        elif merged.splitlines() != own.splitlines():
            raise DeliveryError(
                f"{path} is another one in {branches.main}; such files are immutable: restore it from git, or make a "
                "new release"
            )


def _documents(session: Session, proposal: Proposal) -> list[str]:
    """Return the files of the release, of what was found out about it, and of the test set that it is held against."""
    project, model = session.project, proposal.model
    release = project.releases.file(model, proposal.release)
    evidence = sorted((project.evidence.folder / model / proposal.release).glob("*.yaml"))
    version = project.model(proposal.environment, model).test_set
    test_sets = [project.test_sets.file(model, version)] if version else []
    return [str(file.relative_to(project.root)) for file in (release, *evidence, *test_sets)]


def _commit(commits: Commits, branches: Branches, proposal: Proposal, files: dict[str, bytes], how: How) -> str:
    """Return the commit for the branch: the one that is there where nothing is different."""
    if branches.other is not None:
        foreign = [each for each in commits.messages(branches.base, branches.other) if _TRAILER not in each]
        if foreign:
            raise DeliveryError(
                f"the branch {proposal.branch} has a commit of somebody else ({foreign[0].splitlines()[0]}); merge the "
                "branch, or delete it at the remote, and run this again"
            )
    made = commits.write(branches.base, files, proposal.message)
    if branches.other is not None and commits.is_same(made, branches.other):
        how.console.print(f"the branch {proposal.branch} is up to date", highlight=False, soft_wrap=True)
        return branches.other
    return made


def _open(session: Session, repository: Origin, branches: Branches, proposal: Proposal, report: Report) -> PullRequest:
    if not has_token(repository, session.variables):
        raise DeliveryError(
            f"the branch {proposal.branch} is pushed, but no pull request was opened: {repository.variable} is not "
            f"set; set it and run this again, or open it by hand: {repository.form(proposal.branch, branches.main)}"
        )
    forge = connect(repository, session.variables)
    text = fitted("\n".join(_body(proposal, report)), forge.comment_limit, proposal)
    return forge.open_pull_request(proposal.branch, branches.main, proposal.title, text)


def fitted(text: str, limit: int, proposal: Proposal) -> str:
    """Return a text that the forge takes: whole lines of it, and how to read the rest."""
    note = f"\n\nCut; all of it: `stellwerk plan {proposal.environment} --from-git origin/{proposal.branch}`"
    return text if len(text) <= limit else text[: limit - len(note)].rpartition("\n")[0] + note


def _body(proposal: Proposal, report: Report) -> Iterator[str]:
    yield f"`stellwerk {proposal.verb}` of `{proposal.model}`: when this is merged, "
    yield f"`pulumi up --stack {proposal.environment}` does what follows."
    yield ""
    yield from plan_view.markdown(report)
