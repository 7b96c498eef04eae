"""`stellwerk demo`: the whole main job, by the commands a user would type."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from components.kit.names import POD_FIELD
from delivery.errors import DeliveryError
from delivery.operations.load import Load
from delivery.operations.settle import wait
from delivery.project import Pointers
from delivery.session import Session

# Other processors differ in the last digits.
_TOLERANCE = 1e-5


@dataclass
class Demo:
    """A run: what it showed, and how long each step took.

    `first` are the parameters of a first training of `model`, key=value, which make it worse than the second one's
    defaults do. Of each of the `others` one release is made, beside it.
    """

    session: Session
    console: Console
    model: str
    first: Sequence[str]
    others: Sequence[str] = ()
    seconds: list[tuple[str, float]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def models(self) -> Sequence[str]:
        """Return all models of the run."""
        return (self.model, *self.others)

    @property
    def last(self) -> str:
        """Return the last environment, the one that users ask."""
        return self.session.project.environments[-1]

    def step(self, title: str, work: Callable[[], None]) -> None:
        """Do a step under its title, and note how long it takes."""
        self.console.rule(f"[bold]{title}", align="left")
        began = time.monotonic()
        work()
        self.seconds.append((title, time.monotonic() - began))

    def stellwerk(self, *arguments: str) -> None:
        """Run a command of Stellwerk; raise DeliveryError when it fails."""
        self._command([sys.executable, "-m", "delivery.cli", *arguments], f"stellwerk {' '.join(arguments)}")

    def pulumi(self, *arguments: str) -> None:
        """Run the engine's own command; raise DeliveryError when it fails."""
        self._command(["pulumi", *arguments], f"pulumi {' '.join(arguments)}")

    def aside(self, output: Path, *arguments: str) -> int:
        """Return the exit code of an engine's command whose output goes to a file, for `show` to show it."""
        with output.open("wb") as file:
            return self.session.engine.call(["pulumi", *arguments], stdout=file.fileno())

    def show(self, output: Path, code: int, *arguments: str) -> None:
        """Show what a command said `aside`; raise DeliveryError when it failed."""
        shown = f"pulumi {' '.join(arguments)}"
        self.console.print(f"[bold cyan]$ {shown}", highlight=False)
        self.console.out(output.read_text(encoding="utf-8", errors="replace"), end="", highlight=False)
        self._ended(code, shown)

    def _command(self, command: list[str], shown: str) -> None:
        self.console.print(f"[bold cyan]$ {shown}", highlight=False)
        self._ended(self.session.engine.call(command), shown)

    def _ended(self, code: int, shown: str) -> None:
        self._forget_files()
        if code:
            raise DeliveryError(
                f"`{shown}` ended with {code}; see above for the reason, remove it and run the demo again"
            )

    def ask(self, *arguments: str) -> Any:
        """Return the JSON answer of a command of Stellwerk; raise DeliveryError when it fails."""
        command = [sys.executable, "-m", "delivery.cli", *arguments, "--json"]
        self.console.print(f"[bold cyan]$ stellwerk {' '.join(arguments)}", highlight=False)
        done = subprocess.run(command, env=self.session.variables, stdout=subprocess.PIPE, text=True, check=False)
        self._forget_files()
        if done.returncode != 0:
            raise DeliveryError(f"`stellwerk {' '.join(arguments)}` ended with {done.returncode}")
        return json.loads(done.stdout)

    def _forget_files(self) -> None:
        """Have the stack files read again: a command is a process of its own, and may have written them."""
        for name in self.session.project.environments:
            self.session.project.reload(name)


def run(session: Session, console: Console, models: Sequence[str], first: Sequence[str]) -> None:
    """Make everything from nothing with the models; a second run changes nothing where nothing changed.

    The first of them has two releases, one of which is rolled back; each other one has one.

    Raise DeliveryError naming the command that failed; another run goes on with it.
    """
    for given in models:
        # Before anything is made: an environment, and the models in it.
        session.project.model(session.project.first, given)
    model, *others = models
    demo = Demo(session, console, model, first, others)
    began = time.monotonic()
    demo.step("Toolchain and base image", lambda: session.local.prepare(console))
    demo.step("Local cluster", session.local.start)
    demo.step("Credentials", partial(_init, demo))
    apply_environments(demo)
    worse, better = make_releases(demo)
    _story(demo, worse, better)
    for other in others:
        demo.step(f"{other}: train, gate, release, promote", partial(_along, demo, other))
    demo.step("Answers, and their log line", lambda: _look(demo, worse))
    _summary(demo, time.monotonic() - began)


def _init(demo: Demo) -> None:
    """Make credentials; pointers of a cluster that is gone start at null: their artefacts are gone with it."""
    project = demo.session.project
    for name in set(project.environments) - demo.session.engine.stacks():
        for model in demo.models:
            text = project.point(name, model, Pointers(None, None))
            if text != project.text(name):
                shown = f"{name}: a new stack has no artefacts yet: its pointers to {model} start at null"
                demo.console.print(shown, highlight=False)
                project.write(name, text)
    demo.stellwerk("init", *project.environments)


def apply_environments(demo: Demo) -> None:
    """Apply all environments, the first one before the others' output is shown.

    Without a release the others need nothing that the first makes: they are applied while its images are built.
    """
    project = demo.session.project
    first, *others = project.environments
    stated = [project.pointers(name, model).release for name in project.environments for model in demo.models]
    if not others or any(stated):
        for name in project.environments:
            demo.step(f"Environment {name}", partial(_up, demo, name))
        return
    for name in others:
        demo.session.backend.wait(name, demo.console)
    quiet = "--suppress-progress"
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="stellwerk-")))
        pool = ending.enter_context(ThreadPoolExecutor(len(others)))
        running = {name: pool.submit(demo.aside, folder / name, *_update(name), quiet) for name in others}
        demo.step(f"Environment {first}", partial(_up, demo, first))
        for name, update in running.items():
            demo.step(f"Environment {name}", partial(_shown, demo, name, update, folder / name))


def _shown(demo: Demo, name: str, update: Future[int], output: Path) -> None:
    demo.show(output, update.result(), *_update(name))


def _update(name: str) -> tuple[str, ...]:
    return ("up", "--stack", name, "--yes", "--skip-preview")


def _up(demo: Demo, name: str) -> None:
    wait(demo.session, name, demo.console)
    quiet = () if sys.stdout.isatty() else ("--suppress-progress",)
    demo.pulumi(*_update(name), *quiet)


def make_releases(demo: Demo) -> tuple[str, str]:
    """Train all models at the same time, then release those of the story one after the other.

    The commands find what exists already. Where the quota has no room for all, one waits for the other.
    """
    releases: list[str] = []
    given = [word for parameter in demo.first for word in ("--param", parameter)]

    def begin() -> None:
        for model, *parameters in ((demo.model, *given), (demo.model,), *((other,) for other in demo.others)):
            demo.ask("train", model, *parameters)
        releases.append(_released(demo, demo.model, *given))

    demo.step("First model: train, gate, release", begin)
    demo.step("Second model: train, gate, release", lambda: releases.append(_released(demo, demo.model)))
    return releases[0], releases[1]


def _released(demo: Demo, model: str, *parameters: str) -> str:
    job = demo.ask("train", model, "--wait", *parameters)["job"]
    answer = demo.ask("release", model, "--job", job)
    demo.console.print(f"release {answer['release']}: {answer['file']}", highlight=False)
    release: str = answer["release"]
    return release


def _along(demo: Demo, model: str) -> None:
    """Bring one more model to all environments, and ask the last one."""
    release = _released(demo, model)
    for name in demo.session.project.environments:
        _promote(demo, model, release, name)
    _answers(demo, model, release)


def _story(demo: Demo, first: str, second: str) -> None:
    """Promote the first, then the second model through all environments, then roll the last one back."""
    names = demo.session.project.environments
    state = demo.ask("status")["environments"]
    pointers = {name: state[name]["models"][demo.model] for name in names}
    named = {name: {pointers[name]["release"], pointers[name]["previous"]} for name in names}
    last = demo.last
    if (pointers[last]["release"], pointers[last]["previous"]) == (first, second):
        demo.console.print(f"{last} has seen both releases and was rolled back: nothing to promote")
        return
    for name in names:
        if not named[name] & {first, second}:
            demo.step(f"Promote {first} to {name}", partial(_promote, demo, demo.model, first, name))
    for name in names:
        if pointers[name]["release"] != second:
            demo.step(f"Promote {second} to {name}", partial(_under_load, demo, second, name))
    demo.step(f"Roll {last} back", lambda: demo.stellwerk("rollback", demo.model, "--env", last, "--yes"))


def _promote(demo: Demo, model: str, release: str, target: str) -> None:
    source = ("--release", release) if demo.session.project.source(target) is None else ()
    demo.stellwerk("promote", model, "--to", target, *source, "--yes")


def _under_load(demo: Demo, release: str, target: str) -> None:
    """Promote while a client keeps asking; the last environment must not fail a single request."""
    if target != demo.last:
        _promote(demo, demo.model, release, target)
        return
    with Load(demo.session, target, demo.model) as load:
        _promote(demo, demo.model, release, target)
    demo.facts[f"requests during the promotion to {target}"] = f"{load.answered} answered, {load.failed} failed"
    demo.console.print(f"while promoting: {load.answered} requests answered by {load.releases}, {load.failed} failed")
    if load.failed:
        raise DeliveryError(f"{load.failed} requests failed during the promotion, the first with: {load.first_failure}")


def _answers(demo: Demo, model: str, release: str) -> Any:
    """Return the last environment's answer to all held-out rows, which is as the release says."""
    answer = demo.ask("predict", model, "--env", demo.last, "--all-held-out")
    if answer["release"] != release:
        raise DeliveryError(f"{demo.last} answers with release {answer['release']}, not with {release}")
    measured, expected = answer["metrics"], answer["expected_metrics"]
    if expected is None or any(abs(measured[name] - expected[name]) > _TOLERANCE for name in measured):
        raise DeliveryError(f"{demo.last}'s metrics are {measured}, the release says {expected}")
    for name, value in measured.items():
        rows = f"({answer['rows']} rows), as released"
        demo.facts[f"{name} of {model} in {demo.last}, all held-out rows"] = f"{value:.4f} {rows}"
    return answer


def _look(demo: Demo, release: str) -> None:
    """Ask the last environment with all held-out rows, then find one of the predictions in the log store."""
    answer = _answers(demo, demo.model, release)
    request = answer["request_ids"][0]
    line = demo.ask("logs", "--request-id", request, "--wait")["hits"][0]
    demo.facts["log line of a prediction"] = f"request {request} on pod {line[POD_FIELD]}"
    # One that still trains has none.
    gate = demo.session.project.models.load(demo.model).gates[0].metric
    run_ = next(run for run in demo.ask("runs", demo.model)["runs"] if gate in run["metrics"])
    demo.facts["newest MLflow run"] = f"{run_['run_id']}, {gate} {run_['metrics'][gate]:.4f}"


def _summary(demo: Demo, total: float) -> None:
    table = Table("step", "seconds", title="What took how long", title_justify="left")
    for title, seconds in [*demo.seconds, ("all", total)]:
        table.add_row(title, f"{seconds:.1f}")
    demo.console.print(table)
    for name, value in demo.facts.items():
        demo.console.print(f"{name}: [bold]{value}[/bold]", highlight=False)
    demo.console.print(
        "\nWhere to look next:\n"
        "  stellwerk status                     what runs where\n"
        '  eval "$(stellwerk env)"              then plain pulumi and kubectl work here\n'
        f"  {f'pulumi preview --stack {demo.last}':<37}no changes\n"
        f"  {f'stellwerk promote {demo.model} --to {demo.last}':<37}the better model again\n"
        "  stellwerk cluster down               removes all of it",
        highlight=False,
    )
