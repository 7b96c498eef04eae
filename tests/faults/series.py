"""A series of seeds on one cluster, and its table."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType

from tests.faults.kills import LIFE, VICTIMS, NotConverged, Outcome, Undisturbed, bring, converge, kill
from tests.faults.world import World


@dataclass
class Series:
    """Kills one after the other; a stack goes on from seed to seed, and what is left of it is deleted at the end."""

    folder: Path
    variables: Mapping[str, str]
    say: Callable[[str], None]
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _worlds: dict[str, World] = field(default_factory=dict)
    # The seed at which a stack is ready to begin.
    _ready: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> "Series":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for world in self._worlds.values():
            world.forget()

    @cached_property
    def undisturbed(self) -> Undisturbed:
        """The life of a stack that nobody disturbs."""
        return Undisturbed(self._world(f"faults-undisturbed-{os.getpid()}"))

    def run(self, seed: int) -> Outcome:
        """Run one seed; raise NotConverged."""
        undisturbed, planned = self.undisturbed, kill(seed)
        if self._ready.get(planned.world) != seed:
            if world := self._worlds.pop(planned.world, None):
                raise AssertionError(f"{world.name} is not where {planned} begins")
            bring(self._world(planned.world), planned)
        try:
            outcome = converge(self._worlds[planned.world], planned, undisturbed, self.say)
        except NotConverged as error:
            self.failures.append(str(error))
            raise
        self._ready[planned.world] = seed + 1
        self.outcomes.append(outcome)
        return outcome

    def _world(self, name: str) -> World:
        self._worlds[name] = World(name, self.folder / name, self.variables).make()
        return self._worlds[name]

    def table(self) -> str:
        """Return how many kills of which part of which operation have converged, as a Markdown table."""
        counts = Counter((outcome.kill.operation, outcome.kill.victim) for outcome in self.outcomes)
        lines = [f"| killed | {' | '.join(name for name, _ in LIFE)} |", "|---|" + "---|" * len(LIFE)]
        for victim in VICTIMS:
            cells = (str(counts[name, victim] or "-") for name, _ in LIFE)
            lines.append(f"| {victim} | {' | '.join(cells)} |")
        early = sum(outcome.cut_off for outcome in self.outcomes)
        done = len(self.outcomes)
        seconds = {name: round(value, 1) for name, value in self.undisturbed.seconds.items()}
        lines.append(f"seconds of a run that nobody disturbs: {seconds}")
        lines.append(f"{done} of {done + len(self.failures)} converged; {early} of them were cut off before their end")
        return "\n".join(lines)
