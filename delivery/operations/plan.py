"""`stellwerk plan`: what an update would do, in words of the domain, from the engine's events and from documents."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from delivery.clients.git import Git
from delivery.clients.plan import Plan
from delivery.errors import DeliveryError, system_errors
from delivery.operations.changes import Change, changes
from delivery.operations.fit import Fit, fit
from delivery.operations.release_change import ReleaseChange, compare
from delivery.project import Project
from delivery.session import Session
from infra.services.node_pools import NODES
from infra.targets.variables import WORK
from infra.values import from_file


@dataclass(frozen=True)
class Cost:
    """What the nodes of all pools cost per hour, as far as their prices are known.

    `before` is None where nobody knows which pools the stack was applied with. `unpriced` are the pools without price,
    `more` is what elastic pools add at most.
    """

    before: float | None
    after: float
    unpriced: tuple[str, ...]
    more: float = 0


@dataclass(frozen=True)
class Report:
    """What an update of an environment would do; `revision` is the commit of its stack files, None for the checkout's.

    `models` are those whose release changes. `cost` is None as long as no pool has a price, `fit` where no pod moves.
    """

    environment: str
    revision: str | None
    models: tuple[ReleaseChange, ...]
    changes: tuple[Change, ...]
    cost: Cost | None
    fit: Fit | None

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to do."""
        return not self.changes and not self.models


def plan(session: Session, environment: str, revision: str | None) -> Report:
    """Return what an update would do, by the checkout's stack files or by those of a revision; nothing is changed.

    Raise DeliveryError or ConfigError when there is no such environment, stack or revision, when the files are not
    right, and when the engine cannot say.
    """
    with ExitStack() as cleanup:
        project, documents, commit = session.project, None, None
        if revision is not None:
            commit = Git(project.root).commit(revision)
            documents = cleanup.enter_context(_exported(session, commit))
            project = Project(documents)
        planned = _preview(session, project, environment, documents)
        fitting = fit(session, project, environment, planned)
        return report(project, session.project, commit, environment, planned, fitting)


def report(
    project: Project, checkout: Project, commit: str | None, environment: str, planned: Plan, fitting: Fit | None
) -> Report:
    """Return what a plan of the engine means; the project has the release files, the checkout models and history."""
    served, wanted = planned.before.get("models") or {}, planned.after.get("models") or {}
    moved = [name for name in sorted({*served, *wanted}) if served.get(name) != wanted.get(name)]
    return Report(
        environment,
        commit,
        tuple(compare(project, checkout, name, served.get(name), wanted.get(name)) for name in moved),
        tuple(changes(planned)),
        _cost(planned.before, planned.after),
        fitting,
    )


def _preview(session: Session, project: Project, environment: str, documents: Path | None) -> Plan:
    """Return the engine's plan; raise ConfigError, by line, where it fails because the files are not right."""
    engine = session.engine
    # Before the engine starts, which takes longer to say the same.
    project.environment(environment)
    try:
        if engine.state_file(environment) is None and environment not in engine.stacks():
            raise DeliveryError(f"{environment}: there is no such stack yet; run `stellwerk init {environment}`")
        return engine.preview(environment, project.text(environment), shown=False, documents=documents)
    except DeliveryError:
        from_file(environment, project.root, services=project.services, files=project.files)
        raise


@contextmanager
def _exported(session: Session, commit: str) -> Iterator[Path]:
    """Make a folder with the stack files of a commit, beside the models of the checkout."""
    place = session.engine.work
    with ExitStack() as cleanup:
        with system_errors(
            "writing the stack files of a revision", f"make {place} writable, or let {WORK} name another"
        ):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="revision-", dir=place)))
            (folder / "models").symlink_to(session.project.models.folder)
            Git(session.project.root).export(commit, "stacks", folder)
        yield folder


def _cost(before: Mapping[str, Any], after: Mapping[str, Any]) -> Cost | None:
    """Return the cost by the outputs of a stack before and after; one that was never applied has cost nothing."""
    known = before.get(NODES, {} if not before else None)
    wanted: Mapping[str, Mapping[str, float]] = after.get(NODES) or {}
    if not any("pricePerHour" in pool for pool in [*(known or {}).values(), *wanted.values()]):
        return None
    unpriced = tuple(sorted(name for name, pool in wanted.items() if "pricePerHour" not in pool))
    return Cost(None if known is None else _hourly(known), _hourly(wanted), unpriced, _more(wanted))


def _hourly(pools: Mapping[str, Mapping[str, float]]) -> float:
    return sum(pool["nodes"] * pool.get("pricePerHour", 0) for pool in pools.values())


def _more(pools: Mapping[str, Mapping[str, float]]) -> float:
    """Return what nodes that come and go add at most."""
    return sum(
        (pool.get("most", 0) - pool["nodes"]) * pool.get("pricePerHour", 0) for pool in pools.values() if "most" in pool
    )
