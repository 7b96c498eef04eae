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
from benchmarks.made_models import ENVIRONMENT, NODE, SOURCE
from benchmarks.measure import ROOT, of_checkout, output, timed
from delivery.commands.app import open_session
from infra.targets.variables import LOCAL_CONTEXT
from infra.values import SERVING

_KUBECTL = ("kubectl", "--context", LOCAL_CONTEXT)
_LEFT_OUT = (".git", ".venv", ".toolchain", ".contexts", "__pycache__", "tests", "*_cache")
_READY = (
    f"--namespace={ENVIRONMENT}-{SERVING}",
    '--output=jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}',
)
_QUIET_SECONDS, _POLL_SECONDS = 60, 5
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

        Where it says of none of them more for a minute that it is ready, nothing more is waited for.
        """
        ready, since = -1, time.monotonic()
        while ready < count and time.monotonic() - since < _QUIET_SECONDS:
            answer = output([*_KUBECTL, "get", "inferenceservices", *_READY], ROOT, self.env)
            if answer.count("True") > ready:
                ready, since = answer.count("True"), time.monotonic()
            time.sleep(_POLL_SECONDS)
        print(f"{ready:,} of {count:,} models are ready", file=sys.stderr)

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
