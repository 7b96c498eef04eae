"""Interpreters that have a model's framework: this one, or one of an environment made of the model's locks."""

import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console

from delivery.clients.process import call
from delivery.errors import DeliveryError, system_errors
from infra.contract.model import Framework

_PINNED = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
_NAMED = re.compile(r"^([\w.-]+)", re.MULTILINE)


@dataclass(frozen=True)
class Interpreter:
    """What runs the code of a model: its framework's packages in the versions of the locks.

    `root` is the checkout, `folder` the model's; `suite` is the module that checks a model.
    """

    root: Path
    framework: Framework
    folder: Path
    variables: Mapping[str, str]
    suite: str = "training.check"

    @property
    def _locks(self) -> list[Path]:
        """The locks in the order in which an image installs them."""
        room = self.root / "training"
        own = self.folder / "requirements.txt"
        framework = room / "frameworks" / self.framework.package / "requirements.txt"
        return [framework, room / "requirements.txt", *([own] if own.is_file() else [])]

    @cached_property
    def lacking(self) -> list[str]:
        """The packages that this interpreter lacks, or has in another version than the locks say."""
        return sorted(f"{name} {wanted}" for name, wanted in self._wanted().items() if _installed(name) != wanted)

    def _wanted(self) -> dict[str, str]:
        """Return what the framework and the model ask for by name; what they need in turn comes with it."""
        wanted: dict[str, str] = {}
        for lock in self._locks:
            if lock.parent != self.root / "training":
                pinned = {_normal(name): text for name, text in _PINNED.findall(lock.read_text(encoding="utf-8"))}
                source = lock.with_suffix(".in")
                named = _NAMED.findall(source.read_text(encoding="utf-8")) if source.is_file() else list(pinned)
                wanted |= {name: pinned[name] for name in map(_normal, named) if name in pinned}
        return wanted

    @cached_property
    def environment(self) -> Path:
        """The folder of the environment that the locks make; other locks make another one."""
        state = sha256(sys.version.encode())
        for lock in self._locks:
            state.update(lock.read_bytes())
        cache = Path(self.variables.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "stellwerk" / "frameworks" / f"{self.framework}-{state.hexdigest()[:12]}"

    @property
    def python(self) -> Path | None:
        """The interpreter, None as long as there is none that has the framework."""
        if not self.lacking:
            return Path(sys.executable)
        made = self.environment / "bin" / "python"
        return made if made.exists() else None

    def make(self, console: Console) -> None:
        """Make the environment, in one step at the end; raise DeliveryError where packages cannot be installed."""
        place = self.environment
        uv = str(Path(sys.executable).with_name("uv"))
        with system_errors("making the framework's environment", "let XDG_CACHE_HOME name a folder that you may write"):
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as folder:
                partial = Path(folder, place.name)
                self._run(place.name, uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, str(partial))
                for lock in self._locks:
                    name = str(lock.relative_to(self.root))
                    console.print(f"{self.framework}: installing {name}", highlight=False)
                    # A lock says all of it, and leaves out on purpose what is not needed.
                    how = ("--require-hashes", "--no-deps", "--python", str(partial / "bin" / "python"))
                    self._run(name, uv, "pip", "install", *how, "--requirements", str(lock))
                if not place.exists():
                    partial.rename(place)

    def _run(self, made_of: str, *command: str) -> None:
        code = call(command, self.root, self.variables, stdout=2)
        if code != 0:
            raise DeliveryError(
                f"{made_of}: `uv {' '.join(command[1:3])}` ended with {code}, see above; correct the requirements.in "
                "and run `make lock`, or make the package index reachable (UV_DEFAULT_INDEX, SSL_CERT_FILE)"
            )


def _normal(name: str) -> str:
    """Return a package's name as locks write it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
