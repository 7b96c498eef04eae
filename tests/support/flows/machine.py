"""A CI runner's machine: a clone of a throw-away repository."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.flows.steps import Step

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


def git(place: Path, *words: str) -> str:
    """Run git; return its output."""
    done = subprocess.run(["git", *IDENTITY, *words], cwd=place, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def remote(root: Path, folder: Path) -> Path:
    """Make a bare repository of a checkout as it is, whose runners have their Python already; remove the checkout."""
    bare = folder / "origin.git"
    (root / "infra" / "local" / "bootstrap").write_text("#!/bin/sh\necho 'the Python environment is there'\n")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Runners have their Python")
    git(root, "branch", "--move", "main")
    git(folder, "clone", "--quiet", "--bare", str(root), str(bare))
    shutil.rmtree(root)
    return bare


@dataclass
class Machine:
    """The runner: its clone, and what each of its processes finds set."""

    root: Path
    variables: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, bare: Path) -> "Machine":
        """Clone the repository, as CI's checkout does it."""
        root = folder / "work"
        git(folder, "clone", "--quiet", str(bare), str(root))
        programs = root / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name, words in {"python": "", "stellwerk": " -m delivery.cli"}.items():
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
            (programs / name).chmod(0o755)
        dropped = ("AWS_", "GIT_", "GITHUB_", "GITLAB_", "PULUMI_", "STELLWERK_", "KUBE", "CI")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        path = f"{folder / 'bin'}:{programs}:{kept['PATH']}"
        own = {"PATH": path, "PYTHONPATH": str(root), "STELLWERK_STATE": str(folder / "state"), "COLUMNS": "200"}
        # A home of its own, as a runner has; the tools are those of this machine. The engine does not look at HOME.
        own |= {"HOME": str(folder / "home"), "XDG_CACHE_HOME": kept.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))}
        own |= {"PULUMI_HOME": str(folder / "home" / ".pulumi")}
        return cls(root, {**kept, **own, "RUNNER_TEMP": str(folder / "temp"), "TMPDIR": str(folder / "temp")})

    @property
    def programs(self) -> Path:
        """Where a test puts programs that the machine has."""
        return self.root.parent / "bin"

    def run(self, step: Step, given: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a step with the variables that CI sets for it."""
        script, temporary = self.root.parent / "script.sh", Path(self.variables["TMPDIR"])
        temporary.mkdir(exist_ok=True)
        script.write_text(step.script)
        environ = {**self.variables, **given, **{name: str(value) for name, value in step.variables.items()}}
        done = subprocess.run(
            [*step.shell, str(script)], cwd=self.root, env=environ, capture_output=True, text=True, check=False
        )
        assert [file.name for file in temporary.glob("tmp.*")] == [], "the kubeconfig goes with the command"
        return done
