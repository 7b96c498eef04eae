"""A checkout with a cluster, used as a user would: by its commands."""

import io
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from infra.contract.release import Release, Releases
from infra.contract.stacks import NAMESPACE, StackFiles
from tests.support import traces
from tests.support.documents import ENVIRONMENTS as ENVIRONMENTS
from tests.support.documents import MODEL as MODEL
from tests.support.documents import TEAM

ROOT = Path(__file__).parents[2]
RELEASE_HEADER = "x-stellwerk-release"


@dataclass
class Project:
    """A checkout, a state directory, what the machine looked like before the cluster, and what tests may expect.

    `expected` are the texts of the stack files as each test finds them and leaves them.
    """

    root: Path
    state: Path
    before: traces.Traces
    demo_output: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    expected: dict[str, str] = field(default_factory=dict)
    _gateways: dict[str, str] = field(default_factory=dict)

    @property
    def shell(self) -> dict[str, str]:
        """The variables of a fresh shell; nothing of an outer `stellwerk env`."""
        dropped = ("PULUMI_", "STELLWERK_", "KUBECONFIG", "KUBECACHEDIR", "DOCKER_CONFIG", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        return {**kept, "STELLWERK_STATE": str(self.state), "COLUMNS": "200"}

    @cached_property
    def command(self) -> str:
        """The path of `stellwerk`."""
        return str(self.root / ".venv/bin/stellwerk")

    @cached_property
    def python(self) -> str:
        """The path of the checkout's interpreter."""
        return str(self.root / ".venv/bin/python")

    def run(
        self, *command: str, timeout: float = 600, stdin: str = "", **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, under the variables of `stellwerk env` once they are known."""
        return subprocess.run(
            command, cwd=self.root, env={**self.shell, **self.variables, **extra}, input=stdin,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def start(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command in the checkout as the leader of a process group; both outputs go to one pipe."""
        usual = {"env": {**self.shell, **self.variables}, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=self.root, start_new_session=True, text=True, **{**usual, **options})

    def stellwerk(self, *arguments: str, ok: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run the command; with `ok` a failure fails the test with the command's output."""
        done = self.run(self.command, *arguments, **extra)
        assert not ok or done.returncode == 0, (
            f"stellwerk {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
        return done

    def ask(self, *arguments: str) -> Any:
        """Return the JSON answer of a command."""
        return json.loads(self.stellwerk(*arguments, "--json").stdout)

    def pulumi(self, *arguments: str, ok: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run plain pulumi, as after `eval "$(stellwerk env)"`."""
        done = self.run("pulumi", *arguments, "--non-interactive", timeout=1200, **extra)
        assert not ok or done.returncode == 0, (
            f"pulumi {' '.join(arguments)}: {done.stdout[-4000:]}{done.stderr[-2000:]}"
        )
        return done

    def up(self, environment: str, ok: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
        """Apply the environment's values."""
        return self.pulumi("up", "--stack", environment, "--yes", "--skip-preview", ok=ok, **extra)

    def assert_no_changes(self, environment: str) -> None:
        """Fail if a preview of the environment shows a change."""
        self.pulumi("preview", "--stack", environment, "--expect-no-changes", "--diff")

    def kubectl(self, *arguments: str, ok: bool = True) -> str:
        """Return the output of kubectl as the cluster's administrator."""
        done = self.run("kubectl", *arguments)
        assert not ok or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr[-2000:]}"
        return done.stdout

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the items of `kubectl get …`."""
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]
        return items

    def pods(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the pods that are not on their way out."""
        return [pod for pod in self.objects("pods", *arguments) if "deletionTimestamp" not in pod["metadata"]]

    def statuses(self) -> dict[str, Any]:
        """Return what `stellwerk status` says by environment; at this moment a file of another lane may be refused."""
        for _ in range(20):
            done = self.stellwerk("status", "--json", ok=False)
            if done.stdout:
                break
            time.sleep(3)
        assert done.stdout, done.stderr
        statuses: dict[str, Any] = json.loads(done.stdout)["environments"]
        return statuses

    def status(self, environment: str) -> dict[str, Any]:
        """Return what `stellwerk status` says of the model in an environment."""
        status: dict[str, Any] = self.statuses()[environment]["models"][MODEL]
        return status

    def stack_file(self, environment: str) -> Path:
        """Return the path of the environment's values."""
        return self.root / "stacks" / f"Pulumi.{environment}.yaml"

    def values(self, environment: str) -> dict[str, Any]:
        """Return the configuration of the environment: its file's, on top of what environments share."""
        return {f"{NAMESPACE}:{key}": value for key, value in StackFiles(self.root).values(environment).items()}

    def edit(self, environment: str, change: Callable[[Any], None]) -> None:
        """Change the environment's configuration, as a user with an editor does."""
        yaml = YAML()
        yaml.width = 1 << 20
        document = yaml.load(self.stack_file(environment))
        change(document["config"])
        text = io.StringIO()
        yaml.dump(document, text)
        self.write(environment, text.getvalue())

    def write(self, environment: str, text: str) -> None:
        """Write the environment's file in one step: tests of other lanes read it."""
        partial = self.root.parent / f"{self.stack_file(environment).name}.{os.getpid()}"
        partial.write_text(text)
        partial.replace(self.stack_file(environment))

    def pointers(self, environment: str, model: str = MODEL) -> tuple[str, str]:
        """Return release and previous as they stand in the environment's file."""
        pointers = self.values(environment)["stellwerk:models"][model]
        return pointers["release"], pointers["previous"]

    def engine_state(self, environment: str) -> bytes:
        """Return the engine's state of the environment."""
        return (self.state / "state/.pulumi/stacks/stellwerk" / f"{environment}.json").read_bytes()

    @cached_property
    def releases(self) -> Releases:
        """The release files."""
        return Releases(self.root / "stacks" / "releases")

    def served(self, environment: str) -> Release:
        """Return the release that the environment's file points at."""
        return self.releases.load(MODEL, self.pointers(environment)[0])

    def release_file(self, release: str, model: str = MODEL) -> Path:
        """Return the path of a release."""
        return self.root / "stacks" / "releases" / model / f"{release}.yaml"

    def authority(self, environment: str) -> str:
        """Return the certificate of the environment's authority, PEM."""
        certificate: str = self.values(environment)["stellwerk:caCertificate"]
        return certificate

    def trust(self, environment: str) -> ssl.SSLContext:
        """Return a context that trusts the environment's authority."""
        return ssl.create_default_context(cadata=self.authority(environment))

    def credentials(self, environment: str) -> dict[str, Any]:
        """Return the environment's credentials, decrypted."""
        shown = self.pulumi("config", "get", "stellwerk:credentials", "--stack", environment).stdout
        credentials: dict[str, Any] = json.loads(shown)
        return credentials

    def output(self, name: str, environment: str) -> Any:
        """Return an output of the environment's stack."""
        return json.loads(self.pulumi("stack", "output", name, "--stack", environment, "--json").stdout)

    def gateway(self, environment: str) -> str:
        """Return the base URL of the environment's gateway."""
        if environment not in self._gateways:
            self._gateways[environment] = self.output("gateway", environment)
        return self._gateways[environment]

    def answering(self, environment: str, model: str = MODEL) -> str | None:
        """Return the release that says it is ready right now, None when none does."""
        with httpx.Client(verify=self.trust(environment), trust_env=False, timeout=30) as client:
            try:
                answer = client.get(f"{self.gateway(environment)}/v2/models/{model}/ready")
            except httpx.HTTPError:
                return None
        return answer.headers.get(RELEASE_HEADER) if answer.status_code == 200 else None

    def tracking_answers(self) -> bool:
        """Return whether the runs can be listed."""
        return self.stellwerk("runs", MODEL, "--json", ok=False).returncode == 0

    def answers(self, environment: str) -> bool:
        """Return whether the endpoint answers with the release that the file points at."""
        return self.answering(environment) == self.pointers(environment)[0]

    def learn_variables(self) -> None:
        """Take over what `stellwerk env` prints in a fresh shell: what is set already it does not print."""
        self.variables = {}
        printed = self.stellwerk("env").stdout
        script = f"{printed}\n{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
        done = subprocess.run(["sh", "-c", script], env=self.shell, capture_output=True, text=True, check=True)
        self.variables = json.loads(done.stdout)


def copy_checkout(target: Path) -> None:
    """Copy what git tracks and what it does not ignore, as a repository of its own with one commit.

    Its stack files, and the model that the Makefile's demo trains, are the tests': this checkout may have others, or
    none.
    """
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        source = ROOT / name
        if source.is_file() and not name.startswith("stacks/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    shutil.copytree(TEAM / "stacks", target / "stacks")
    shutil.copytree(TEAM / "demo", target / "models", dirs_exist_ok=True)
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    # Images carry the commit: another day must not make other images.
    dates = {name: "2026-01-01T00:00:00Z" for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")}
    for command in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "--message", "checkout"]):
        subprocess.run(["git", *command], cwd=target, check=True, capture_output=True, env=os.environ | dates)


def copy_release(project: Project, model: str, release: str) -> None:
    """Write a release of `digits` under another model's name."""
    target = project.release_file(release, model)
    target.parent.mkdir(exist_ok=True)
    text = project.release_file(release).read_text()
    target.write_text(text.replace(f"model: {MODEL}", f"model: {model}").replace(f"key: {MODEL}/", f"key: {model}/"))


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a process and everything it started with SIGKILL."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def eventually(what: str, seconds: float, check: Callable[[], Any], interval: float = 0.5) -> None:
    """Poll until `check` is true; fail with `what` was not reached after `seconds`."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(interval)


def read_until(process: subprocess.Popen[str], ended: Callable[[str], bool], seconds: float) -> str:
    """Return a process's lines up to the one after which `ended` is true of all of them; fail after `seconds`."""
    assert process.stdout is not None
    deadline, output = time.monotonic() + seconds, ""
    while not ended(output):
        line = process.stdout.readline()
        assert line and time.monotonic() < deadline, output[-3000:]
        output += line
    return output


def in_parallel(*actions: Callable[[], Any]) -> Sequence[Any]:
    """Run independent actions side by side; return their results, or raise the first failure."""
    with ThreadPoolExecutor(len(actions)) as pool:
        running = [pool.submit(action) for action in actions]
    return [one.result() for one in running]
