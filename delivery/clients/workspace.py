"""Folders of an engine command's own, which nobody else can read: they go when it ends."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from delivery.errors import system_errors
from infra.targets.variables import WORK


@contextmanager
def workspace(place: Path, environment: str, text: str) -> Iterator[tuple[Path, Path]]:
    """Make a folder below `place`: the stack file to use, and where the engine's events go."""
    with ExitStack() as cleanup:
        with system_errors("writing the engine's configuration", _action(place)):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="update-", dir=place))
            config = Path(folder, f"Pulumi.{environment}.yaml")
            with config.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
        yield config, Path(folder, "events.json")


@contextmanager
def temporary_folder(variables: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Make the engine's temporary folder, where the target wants its files; yield the variable that names it.

    The provider of Kubernetes writes a kubeconfig that it is given into a file there, and never takes it away.
    """
    place = Path(variables.get(WORK) or tempfile.gettempdir())
    with ExitStack() as cleanup:
        with system_errors("making the engine's temporary folder", _action(place)):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            # A provider that ends after the engine may be writing still: no reason to fail a command that succeeded.
            made = tempfile.TemporaryDirectory(prefix="stellwerk-", dir=place, ignore_cleanup_errors=True)
            folder = cleanup.enter_context(made)
        yield {"TMPDIR": folder}


def _action(place: Path) -> str:
    return f"make {place} writable, or let {WORK} name another folder"
