"""Kills by seed: which part of a run is killed, and when; then one run more, compared with an undisturbed one.

Four seeds in a row are one life of a stack: it is created, updated, has objects replaced, and is deleted. Each of the
four is killed once. A seed alone first brings its stack to where it begins.
"""

import random
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.faults.processes import PARTS, Process, tree
from tests.faults.watching import wait_for_writing
from tests.faults.world import Operation, Seen, World

# What a life does, and what it is called in the table.
LIFE: tuple[tuple[str, Operation], ...] = (
    ("create", ("up", 0, 0)),
    ("update", ("up", 1, 0)),
    ("replace", ("up", 1, 1)),
    ("delete", ("destroy", 1, 1)),
)
# `state`: the engine, while it writes its state; `all`: every process of the run at once, as a machine that fails.
VICTIMS = ("engine", "provider", "program", "state", "all")
_STEP = 0.004
# In so many steps the engine writes its state: a copy of the one before, then the new one, each beside its place.
_WRITING = 7
_LONGEST = 300.0


class NotConverged(AssertionError):
    """What is not as after an undisturbed run; the text names seed, victim and moment."""


@dataclass(frozen=True)
class Kill:
    """One kill; `moment` is the share of an undisturbed run's output after which the victim is killed.

    A share of its time would be another moment of the run whenever the machine has something else to do.
    """

    seed: int
    victim: str
    moment: float

    @property
    def operation(self) -> str:
        """The name of what is killed."""
        return LIFE[self.seed % len(LIFE)][0]

    @property
    def world(self) -> str:
        """The name of the stack whose life this is a part of."""
        return f"faults-{self.seed // len(LIFE)}"

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.operation}, {self.victim} killed at {self.moment:.2f}"


def kill(seed: int) -> Kill:
    """Return the kill of a seed."""
    chance = random.Random(seed)  # noqa: S311
    # No program runs while a stack is deleted.
    victims = [name for name in VICTIMS if name != "program" or LIFE[seed % len(LIFE)][0] != "delete"]
    return Kill(seed, chance.choice(victims), chance.random())


@dataclass
class Undisturbed:
    """What runs that nobody disturbs lead to, how much each of them prints (bytes), and how long it takes (seconds)."""

    world: World
    seen: dict[str, Seen] = field(default_factory=dict)
    printed: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def learn(self, wanted: str) -> None:
        """Run a life as far as an operation, and take down what each step leads to."""
        for name, operation in LIFE:
            if wanted in self.seen:
                return
            if name not in self.seen:
                began = time.monotonic()
                code = self.world.begin(operation).wait(_LONGEST)
                assert code == 0, self.world.output()
                self.seconds[name] = time.monotonic() - began
                self.printed[name] = self.world.printed()
                self.seen[name] = self.world.seen()


@dataclass(frozen=True)
class Outcome:
    """What became of a kill: whether the run was cut off, which parts outlived it how long, the seconds of the rest."""

    kill: Kill
    cut_off: bool
    outlived: Mapping[str, float]
    seconds: float


def strike(world: World, planned: Kill, printed: int) -> tuple[bool, list[Process]]:
    """Start the operation and kill the victim; return whether that cut it off, and the run's other processes."""
    process = world.begin(dict(LIFE)[planned.operation], slower=planned.victim == "state")
    part = planned.victim if planned.victim in PARTS else "engine"
    members: list[Process] = []
    try:
        if planned.victim == "state":
            # To look for the others afterwards would be too late: the engine has written in milliseconds.
            members = _wait_for("provider", process)
            wait_for_writing(world.state_folder, process, int(planned.moment * _WRITING))
            process.kill()
        else:
            while process.poll() is None and world.printed() < planned.moment * printed:
                time.sleep(_STEP)
            # Within what is done between two lines, too.
            time.sleep(planned.moment * 1000 % 1 * _STEP * 5)
            members = _wait_for(part, process)
            for member in members:
                if planned.victim == "all" or member.part == part:
                    member.kill()
        process.wait(_LONGEST)
    finally:
        process.kill()
        process.wait()
    return process.returncode != 0, [one for one in members if one.part != "engine"]


def _wait_for(part: str, process: subprocess.Popen[bytes]) -> list[Process]:
    """Return the processes of a run once a part of it runs, none when it has ended."""
    while process.poll() is None:
        members = tree(process.pid)
        if any(member.part == part for member in members):
            return members
    return []


def converge(world: World, planned: Kill, undisturbed: Undisturbed, say: Callable[[str], None]) -> Outcome:
    """Kill, run once more, and compare; raise NotConverged naming what differs."""
    name, operation = planned.operation, dict(LIFE)[planned.operation]
    undisturbed.learn(name)
    cut_off, others = strike(world, planned, undisturbed.printed[name])
    began = time.monotonic()
    outlived = [other for other in others if other.runs()]
    try:
        code = world.run(operation)
        if code:
            raise NotConverged(f"{planned}: the next run ended with {code}:\n{world.output()}")
        after = world.seen()
        if differences := after.differences(undisturbed.seen[name]):
            raise NotConverged(f"{planned}: after one run more:\n" + "\n".join(differences))
        if operation[0] == "up" and not world.has_no_changes():
            raise NotConverged(f"{planned}: a preview still finds changes:\n{world.output()}")
        seconds = time.monotonic() - began
        still = {other.part: seconds for other in outlived if other.runs()}
    finally:
        for other in others:
            other.kill()
    say(f"{planned}{'' if cut_off else ' (too late)'}; {seconds:.1f} s more {still or ''}")
    return Outcome(planned, cut_off, still, seconds)


def bring(world: World, planned: Kill) -> None:
    """Bring a new stack to where the seed's operation begins."""
    before = planned.seed % len(LIFE)
    if before:
        code = world.run(LIFE[before - 1][1])
        assert code == 0, world.output()
