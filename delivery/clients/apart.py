"""The update of one model in a copy of the state without the other models, and how its result gets into the state.

The engine copies, reports and writes each resource of its state, changed or not: among 1,000 models that takes ten
times as long as what is to be done. The copy has the locks and the history of the backend itself: to everybody else it
is an update of the stack, with the engine's own lock.
"""

import filecmp
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from delivery.clients import checkpoint
from delivery.clients.locks import StackLocks
from delivery.clients.part import Part, part, whole, with_new
from delivery.errors import DeliveryError
from infra.targets.variables import BACKEND, PULUMI_BACKEND_URL, PULUMI_SKIP_CHECKPOINTS

# Locks are the backend's own, so that one update runs at a time; its history says which releases were served.
_SHARED = ("locks", "history")


def is_safe(variables: Mapping[str, str], file: Path) -> bool:
    """Return whether a target's states may be written at the end of an update alone, as its variables say.

    A command that is killed leaves the state of before then, as decision 13 has it for the engine.
    """
    return variables.get(PULUMI_SKIP_CHECKPOINTS) == "true" and file.suffix == ".json"


@dataclass(frozen=True)
class Copy:
    """A copy of the state in `file`, of which the engine gets the part that it needs."""

    file: Path
    locks: StackLocks
    place: Path
    part: Part
    began: int

    @classmethod
    def make(
        cls, variables: Mapping[str, str], file: Path | None, locks: StackLocks, folder: Path, model: str
    ) -> "Copy | None":
        """Make the copy in `folder` of the state as it is now.

        None where the target, by its variables, has to have its state itself at each step, or where the copy could not
        be put together with the rest again.
        Until the result is in the state, a command that finds it reads the cluster first.
        """
        backend = locks.backend
        if backend is None or file is None or not is_safe(variables, file):
            return None
        now = part(checkpoint.read(file), model)
        if now is None or now.state["deployment"].get("pending_operations") or whole(now.state, now.others) is None:
            return None
        copy = folder / "copy"
        checkpoint.make_backend(copy, locks.project, locks.stack, now.state)
        for name in _SHARED:
            (backend / ".pulumi" / name).mkdir(parents=True, exist_ok=True)
            (copy / ".pulumi" / name).symlink_to(backend / ".pulumi" / name, target_is_directory=True)
        place = checkpoint.stacks(copy, locks.project) / f"{locks.stack}.json"
        locks.interrupt(f"process {os.getpid()}, which moved {model}", time.time())
        return cls(file, locks, place, now, place.stat().st_mtime_ns)

    @property
    def variables(self) -> dict[str, str]:
        """The variables of an engine that works in the copy."""
        query = urlsplit(self.locks.url).query
        url = f"file://{self.place.parents[3]}" + (f"?{query}" if query else "")
        return {PULUMI_BACKEND_URL: url, BACKEND: self.locks.url}

    def save(self, *, begun: bool) -> str:
        """Write what the engine has made of the copy into the state; return why that was not possible, else nothing.

        `begun` says whether the engine's events have a change. What it was not possible for stays marked as
        interrupted: the next command reads the cluster.
        """
        if self.place.stat().st_mtime_ns == self.began:
            if begun or any(lock.is_dead() for lock in self.locks.all()):
                return "the state was not saved, as the update was killed"
            # Nothing was done: somebody else had the lock, or the engine did not start.
            self.locks.settle()
            return ""
        try:
            with self.locks.taken() as taken:
                if taken:
                    return self._write()
        except DeliveryError as error:
            return f"the state was not saved: {error}"
        return "the state was not saved, as an update was killed or another one has begun"

    def _write(self) -> str:
        """Write the result, under the lock; return why that was not possible, else nothing."""
        state, made = checkpoint.read(self.file), checkpoint.read(self.place)
        now = part(state, self.part.model)
        # What somebody has done to another model meanwhile is in `others`, and stays.
        result = whole(made, now.others) if now and now.resources == self.part.resources else None
        if result is not None:
            self._replace(result)
            self.locks.settle()
            self._complete_history()
            return ""
        # What no state knows nobody takes away again. All else is read in the cluster.
        if (result := with_new(state, made, self.part.model)) is not None:
            self._replace(result)
        return "the state was not saved, as another update has changed it meanwhile"

    def _replace(self, state: Mapping[str, Any]) -> None:
        checkpoint.replace(self.file, state, self.locks.project, self.locks.stack)

    def _complete_history(self) -> None:
        """Have the history keep the whole state of this update, as of any, where the engine has kept its own."""
        folder = self.file.parents[2] / "history" / self.locks.project / self.locks.stack
        newest = max(folder.glob(f"{self.locks.stack}-*.checkpoint.json"), default=None)
        # It says what was: nothing that runs needs it.
        with suppress(OSError):
            if newest is not None and filecmp.cmp(newest, self.place, shallow=False):
                aside = newest.with_suffix(".partial.attrs")
                os.link(self.file, aside)
                aside.replace(newest)
