"""A copy of the checkout with one environment more, which is destroyed at the end."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import made_models
from benchmarks.errors import BenchmarkError
from benchmarks.made_models import ENVIRONMENT, NODE, SOURCE
from benchmarks.measure import ROOT, of_checkout, output, timed
from components.kit import ports
from delivery.commands.app import open_session
from delivery.project import Pointers, Project
from infra.targets.variables import LOCAL_CONTEXT
from infra.values import SERVING

_KUBECTL = ("kubectl", "--context", LOCAL_CONTEXT)
_LEFT_OUT = (".git", ".venv", ".toolchain", ".contexts", "__pycache__", "tests", "*_cache")
_READY = (
    f"--namespace={ENVIRONMENT}-{SERVING}",
    '--output=jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}',
)
_QUIET_SECONDS, _POLL_SECONDS = 60, 5
# KServe's controller: its pods, its metrics, those of its work, and for how long these have to be zero.
_CONTROLLER = "app=kserve-controller-manager"
_METRICS = f"/api/v1/namespaces/{{}}:{ports.KSERVE_METRICS}/proxy/metrics"
_WORK = ("workqueue_depth{", "controller_runtime_active_workers{")
_IDLE_SECONDS, _WORK_SECONDS = 20, 900
_AUTHOR = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost", "-c", "commit.gpgsign=false")
# What a checkout links to.
_LINKS = (".venv", ".toolchain")


@dataclass(frozen=True)
class Place:
    """The copy of the checkout, and the variables under which its commands run."""

    folder: Path
    env: Mapping[str, str]

    def engine(self, verb: str, *options: str) -> dict[str, float]:
        """Run and time `pulumi <verb>` on the environment."""
        return timed(["pulumi", verb, "--stack", ENVIRONMENT, "--non-interactive", *options], self.folder, self.env)

    def up(self) -> dict[str, float]:
        """Apply what the file says."""
        return self.engine("up", "--yes", "--skip-preview")

    def python(self, module: str, *arguments: str, fine: tuple[int, ...] = (0,)) -> dict[str, float]:
        """Run and time a module of the copy."""
        return timed([sys.executable, "-m", module, *arguments], self.folder, self.env, fine)

    def stellwerk(self, *arguments: str, fine: tuple[int, ...] = (0,)) -> dict[str, float]:
        """Run and time the command."""
        return self.python("delivery.cli", *arguments, fine=fine)

    def settle(self, count: int) -> None:
        """Wait until KServe has done with `count` new models: what is measured next would wait for its turn.

        Where it says of none of them more for a minute that it is ready, nothing more is waited for. Its controller has
        minutes of work after that, as it makes no more than 20 requests a second: until its queues stay empty.
        """
        ready, since = -1, time.monotonic()
        while ready < count and time.monotonic() - since < _QUIET_SECONDS:
            answer = output([*_KUBECTL, "get", "inferenceservices", *_READY], ROOT, self.env)
            if answer.count("True") > ready:
                ready, since = answer.count("True"), time.monotonic()
            time.sleep(_POLL_SECONDS)
        began = busy = time.monotonic()
        while time.monotonic() - busy < _IDLE_SECONDS and time.monotonic() - began < _WORK_SECONDS:
            if self._work():
                busy = time.monotonic()
            time.sleep(_POLL_SECONDS)
        text = f"{ready:,} of {count:,} models are ready, the controller was at work for {busy - began:.0f} s more"
        print(text, file=sys.stderr)

    def _work(self) -> float:
        """Return how many objects KServe's controller has in hand or in its queues."""
        pods = json.loads(
            output([*_KUBECTL, "get", "pods", "-A", "--selector", _CONTROLLER, "-o", "json"], ROOT, self.env)
        )
        places = [f"{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}" for pod in pods["items"]]
        if not places:
            raise BenchmarkError(f"no pod of KServe's controller has the label {_CONTROLLER}")
        said = [output([*_KUBECTL, "get", "--raw", _METRICS.format(place)], ROOT, self.env) for place in places]
        lines = [line for text in said for line in text.splitlines() if line.startswith(_WORK)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def preview_move(self, model: str) -> dict[str, float]:
        """Time the preview of a pull request that moves the model's pointer back."""
        project = Project(self.folder)
        held = project.pointers(ENVIRONMENT, model)
        return self._preview_change(project.point(ENVIRONMENT, model, Pointers(held.previous, held.release)))

    def preview_nothing(self) -> dict[str, float]:
        """Time the preview of a pull request that changes a comment in the environment's file."""
        return self._preview_change(f"{Project(self.folder).text(ENVIRONMENT)}# unchanged\n")

    def _preview_change(self, text: str) -> dict[str, float]:
        project = Project(self.folder)
        before = project.text(ENVIRONMENT)
        if not (self.folder / ".git").exists():
            output(["git", "init", "--quiet"], self.folder, self.env)
        self._commit("What runs")
        try:
            project.write(ENVIRONMENT, text)
            self._commit("A change")
            comment = self.folder.parent / "comment.md"
            return self.stellwerk("ci", "preview", "--base", "HEAD~1", "--output", str(comment))
        finally:
            project.write(ENVIRONMENT, before)

    def _commit(self, message: str) -> None:
        output(["git", "add", "--all"], self.folder, self.env)
        output(["git", *_AUTHOR, "commit", "--quiet", "--allow-empty", "--message", message], self.folder, self.env)

    def grow(self, count: int) -> None:
        """Have the environment's file name `count` models in all."""
        self.python("benchmarks.made_models", str(count))


@contextmanager
def place(env: Mapping[str, str], model: str, pods: int) -> Iterator[Place]:
    """Make the environment with one real model, and a node for `pods` simulated pods.

    Whatever happens, its namespaces, its stack, the node and the copy are gone afterwards.
    """
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-models-"))) / "checkout"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        for link in _LINKS:
            (folder / link).symlink_to((ROOT / link).resolve())
        made_models.write_environment(folder, model)
        made = Place(folder, {**of_checkout(folder, env), **_login()})
        cleanup.callback(output, [*_KUBECTL, "delete", "node", NODE, "--ignore-not-found"], ROOT, env)
        timed([*_KUBECTL, "apply", "--filename", "-"], ROOT, env, stdin=json.dumps(made_models.node(pods)))
        cleanup.callback(_destroy, made)
        made.stellwerk("init", ENVIRONMENT)
        made.up()
        yield made


def _login() -> dict[str, str]:
    """Return as variables the login with which the source pulls images."""
    login = open_session().engine.credentials(SOURCE)["registry"]
    return {f"STELLWERK_REGISTRY_{key.upper()}": login[key] for key in ("username", "password")}


def _destroy(made: Place) -> None:
    print(f"destroying {ENVIRONMENT}", file=sys.stderr)
    # An update that was interrupted has given its lock back; one that was killed has not.
    made.engine("cancel", "--yes")
    made.engine("destroy", "--yes", "--skip-preview")
    output(["pulumi", "stack", "rm", ENVIRONMENT, "--yes", "--non-interactive"], made.folder, made.env)
