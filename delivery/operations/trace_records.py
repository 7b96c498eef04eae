"""The links of a chain that stand outside of git: the stacks' updates, pods, log lines, the run, the prediction."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from components.kit.names import ENVIRONMENT_FIELD, MODEL_FIELD, POD_FIELD, RELEASE_FIELD, REQUEST_FIELD, TIME_FIELD
from components.serving.looks import SERVICE_LABEL
from delivery.clients.ancestry import Ancestry
from delivery.clients.logs import flat
from delivery.clients.updates import Recorded, updates
from delivery.operations.chain import Item, Kind, Link, NotAsked, asked
from delivery.operations.stays import Stay, current, stays, time
from delivery.operations.trace_documents import url
from delivery.session import Session
from infra.contract.environment import SERVING
from infra.contract.links import Links
from infra.contract.reading import tree
from infra.contract.release import Release
from infra.contract.stacks import NAMESPACE, file_name

_STATUS, _ROWS = "http.response.status_code", "stellwerk.rows"
_HISTORY = "the stack's update history"
_SERVER = "kserve-container"

Line = Mapping[str, Any]


@dataclass
class Records:
    """What was asked of each place about a model: once, and at the same time."""

    session: Session
    model: str
    environments: Sequence[str]
    links: Links
    _pods: dict[str, Future[list[dict[str, Any]] | NotAsked]] = field(default_factory=dict)
    _runs: Future[dict[str, dict[str, Any] | None] | NotAsked] | None = None

    def start(self, pool: ThreadPoolExecutor, releases: Sequence[Release], environments: Sequence[str]) -> None:
        """Begin to ask the clusters of environments and the tracking server, which take longest."""
        self._pods = {name: pool.submit(asked, self._ask_pods, name) for name in environments}
        runs = [release.run.run_id for release in releases if release.run]
        self._runs = pool.submit(asked, self._ask_runs, runs) if runs else None

    def _ask_pods(self, environment: str) -> list[dict[str, Any]]:
        kubectl = self.session.kubectl(environment)
        words = ("--namespace", kubectl.namespace(SERVING), "get", "pods", "-l", f"{SERVICE_LABEL}={self.model}")
        return kubectl.objects(*words)

    def _ask_runs(self, runs: Sequence[str]) -> dict[str, dict[str, Any] | None]:
        with self.session.tracking(self.session.project.trainer(self.model)) as tracking:
            return {run: tracking.run(run) for run in dict.fromkeys(runs)}

    @cached_property
    def history(self) -> dict[str, list[Recorded] | NotAsked]:
        """The updates of each environment's stack, oldest first."""
        engine = self.session.engine
        return {name: asked(updates, engine, name) for name in self.environments}

    @cached_property
    def stays(self) -> dict[str, list[Stay]]:
        """From when to when which release was in each environment whose history is known."""
        known = {name: made for name, made in self.history.items() if not isinstance(made, NotAsked)}
        return {name: stays(made, name, self.model) for name, made in known.items()}

    def environment_of(self, line: Line) -> str | None:
        """Return the environment that a log line is of, by what it is called on its cluster."""
        project, scope = self.session.project, line.get(ENVIRONMENT_FIELD)
        return next((name for name in self.environments if project.environment(name).scope == scope), None)

    def lines(self, request: str, environment: str | None) -> list[Line] | NotAsked:
        """Return the log lines of a request, newest first."""
        search = self.session.log_store
        hits = asked(lambda: search(environment).search({REQUEST_FIELD: request}, 10, wait=False))
        return hits if isinstance(hits, NotAsked) else [flat(hit) for hit in hits]

    def predictions(self, releases: Sequence[str], environment: str | None) -> dict[str, Line] | NotAsked:
        """Return the newest log line of a prediction of each release that has one."""
        filters = {MODEL_FIELD: self.model}
        if environment:
            filters[ENVIRONMENT_FIELD] = self.session.project.environment(environment).scope
        return asked(lambda: dict(self.session.log_store(environment).predictions(filters, releases)))

    def run_link(self, release: Release) -> Link:
        """Return the run of a release as the tracking server has it; the two must say the same."""
        if release.run is None:
            return Link(Kind.RUN, "`run` of the release file")
        run, identity = release.run, release.run.run_id
        item = Item(identity, f"experiment {run.experiment}, version {run.model_version}",
                    url(self.links.run, identity))  # fmt: skip
        known = self._runs.result() if self._runs else NotAsked("nobody asked")
        if isinstance(known, NotAsked):
            return Link(Kind.RUN, "`run` of the release file", (item,), f"the tracking server: {known.why}")
        record, tracked = "`run` of the release file, the tracking server", known.get(identity)
        if tracked is None:
            return Link(Kind.RUN, record, (item,), None, (f"the tracking server has no run {identity}",))
        return Link(Kind.RUN, record, (item,), None, tuple(_run_differences(tracked, release)))

    def update_link(self, release: str, line: Line | None, environment: str | None) -> Link:
        """Return the updates that put a release into environments; of a prediction, the one that it answered after."""
        if line is not None:
            return self._answered(release, line)
        names = [environment] if environment else list(self.environments)
        items, wrong, unknown = [], [], []
        for name in names:
            known = self.history[name]
            if isinstance(known, NotAsked):
                unknown.append(f"{name}: {known.why}")
                continue
            own = [stay for stay in self.stays[name] if stay.release == release]
            items += [self._stay(stay) for stay in own]
            wrong += [*self._state(name), *(each for stay in own for each in self._commit(stay))]
        return Link(Kind.UPDATE, _HISTORY, tuple(items), "; ".join(unknown) or None, tuple(wrong))

    def _answered(self, release: str, line: Line) -> Link:
        name, moment = self.environment_of(line), _moment(line)
        if name is None or moment is None:
            said = f"{line.get(ENVIRONMENT_FIELD)}, {line.get(TIME_FIELD)}"
            return Link(Kind.UPDATE, _HISTORY, (), f"the log line is of no environment of this checkout ({said})")
        known = self.history[name]
        if isinstance(known, NotAsked):
            return Link(Kind.UPDATE, _HISTORY, (), known.why)
        possible = [stay for stay in self.stays[name] if stay.covers(moment)]
        # Nobody knows which release an update that was killed had.
        own = [stay for stay in possible if stay.release == release] or [
            stay for stay in possible if stay.release is None
        ]
        if own:
            return Link(
                Kind.UPDATE, _HISTORY, tuple(self._stay(stay) for stay in own[-1:]), None, tuple(self._commit(own[-1]))
            )
        others = ", ".join(dict.fromkeys(str(stay.release) for stay in possible)) or "no release"
        wrong = f"the log line of {line[TIME_FIELD]} names {release}, but by the history of {name} it was {others} then"
        return Link(Kind.UPDATE, _HISTORY, tuple(self._stay(stay) for stay in possible), None, (wrong,))

    def _stay(self, stay: Stay) -> Item:
        since = stay.since
        took = f" in {since.ended - since.began:.0f} s" if since.ended is not None else ""
        beside = "" if since.clean else " with changes"
        commit = f"commit {since.commit[:12]}{beside}" if since.commit else "no commit"
        by = since.by or since.run or "nobody said who"
        about = f"{stay.release or 'an unknown release'} {stay.span}; {since.result}{took}, {commit}, by {by}"
        address = since.run or (url(self.links.commit, since.commit) if since.commit else None)
        return Item(f"{stay.environment} {time(since.began)}", about, address)

    def _commit(self, stay: Stay) -> Iterator[str]:
        """Yield that a clean commit's stack file names another release than the update that it was applied with."""
        commit, name = stay.since.commit, stay.environment
        if commit is None or not stay.since.clean:
            return
        content = Ancestry(self.session.project.root).content(commit, file_name(name))
        values = tree(content.decode(errors="replace"), file_name(name)) if content else None
        models = ((values or {}).get("config") or {}).get(f"{NAMESPACE}:models") or {}
        named = (models.get(self.model) or {}).get("release")
        if content is not None and named != stay.release:
            yield f"the update had {stay.release}, but {file_name(name)} names {named} at its commit {commit[:12]}"

    def _state(self, environment: str) -> Iterator[str]:
        """Yield that a stack's state has another release than its history."""
        served = asked(self.session.engine.served, environment, self.model)
        known = current(self.stays[environment])
        last = known.release if known else None
        if not isinstance(served, NotAsked) and served != last and self.history[environment]:
            yield f"the state of {environment} has {served or 'no release'}, its history {last or 'no release'}"

    def pod_link(self, release: Release, line: Line | None, environment: str | None) -> Link:
        """Return the pods that run a release; of a prediction, the one that has answered."""
        name, record = release.metadata.release, "the cluster"
        if line is not None:
            return self._answering_pod(release, line)
        items, wrong, unknown = [], [], []
        for where in [environment] if environment else self.environments:
            stay = current(self.stays.get(where, ()))
            if stay is None or stay.release != name:
                continue
            pods = self._pods[where].result()
            if isinstance(pods, NotAsked):
                unknown.append(f"{where}: {pods.why}")
                continue
            own = [pod for pod in pods if _variable(pod, "RELEASE") == name]
            items += [Item(pod["metadata"]["name"], _about(pod, where)) for pod in own]
            wrong += [each for pod in own for each in _image_differences(pod, release)]
            if pods and not own:
                others = ", ".join(sorted({str(_variable(pod, "RELEASE")) for pod in pods}))
                wrong.append(f"{where} should serve {name}, but its pods are of {others}")
        return Link(Kind.POD, record, tuple(items), "; ".join(unknown) or None, tuple(wrong))

    def _answering_pod(self, release: Release, line: Line) -> Link:
        name, where = line.get(POD_FIELD), self.environment_of(line)
        if name is None:
            return Link(Kind.POD, "the log line", (), "the log line names no pod")
        pods = self._pods[where].result() if where else NotAsked("the log line is of no environment of this checkout")
        if isinstance(pods, NotAsked):
            return Link(Kind.POD, "the log line", (Item(name, "named by the log line"),), pods.why)
        running = next((pod for pod in pods if pod["metadata"]["name"] == name), None)
        if running is None:
            return Link(Kind.POD, "the log line", (Item(name, "gone since"),))
        wrong = list(_image_differences(running, release))
        if (runs := _variable(running, "RELEASE")) != release.metadata.release:
            wrong.append(f"the pod runs {runs}, not {release.metadata.release}")
        return Link(Kind.POD, "the log line, the cluster", (Item(name, _about(running, where)),), None, tuple(wrong))

    def line_links(self, line: Line | None, unknown: str | None, more: Sequence[str] = ()) -> Iterator[Link]:
        """Yield the log line and its prediction; `more` is what contradicts about the line."""
        if line is None:
            yield Link(Kind.LINE, "the log store", (), unknown)
            yield Link(Kind.PREDICTION, "the log store", (), unknown)
            return
        identity, release = str(line[REQUEST_FIELD]), line.get(RELEASE_FIELD)
        said = f"{line.get(ENVIRONMENT_FIELD)}, {line.get(MODEL_FIELD)} {release}, pod {line.get(POD_FIELD)}"
        item = Item(str(line.get(TIME_FIELD)), said, url(self.links.log, identity))
        yield Link(Kind.LINE, "the log store", (item,), None, tuple(more))
        about = f"{line.get(_ROWS, 'unknown')} rows, status {line.get(_STATUS, 'unknown')}"
        yield Link(Kind.PREDICTION, f"`{REQUEST_FIELD}` of the log line", (Item(identity, about),))


def _run_differences(run: Mapping[str, Any], release: Release) -> Iterator[str]:
    for what, tracked, said in (
        ("data", run["data_digest"], release.data and release.data.digest),
        ("commit", run["commit"], release.training and release.training.commit),
        ("Job", run["job"], release.training and release.training.job),
    ):
        if tracked is not None and said is not None and tracked != said:
            yield f"the run has the {what} {tracked}, the release {said}"


def _image_differences(pod: Mapping[str, Any], release: Release) -> Iterator[str]:
    for container in pod["spec"]["containers"]:
        if container["name"] == _SERVER and container.get("image") != release.serving.image:
            yield f"{pod['metadata']['name']} runs the image {container.get('image')}, not the release's"


def _variable(pod: Mapping[str, Any], name: str) -> str | None:
    variables = (each for container in pod["spec"]["containers"] for each in container.get("env", []))
    return next((each.get("value") for each in variables if each["name"] == name), None)


def _about(pod: Mapping[str, Any], environment: str | None) -> str:
    status = pod.get("status", {})
    since = f" since {status['startTime']}" if "startTime" in status else ""
    return f"{environment}: {status.get('phase', 'unknown')}{since}, {_variable(pod, 'RELEASE')}"


def _moment(line: Line) -> datetime | None:
    try:
        return datetime.fromisoformat(str(line.get(TIME_FIELD)))
    except ValueError:
        return None
