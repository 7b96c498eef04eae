"""Runs a declaration of components under mocks, and keeps what it registers as the engine would see it."""

import asyncio
from collections.abc import Callable

import pulumi
from pulumi.runtime.stack import run_pulumi_func

from tests.program.harness import Recording, apart


def declared(declare: Callable[[], object]) -> Recording:
    """Return what `declare` registers; raises what it raises."""
    recording = Recording()

    def run() -> None:
        declare()

    def program(loop: asyncio.AbstractEventLoop) -> None:
        pulumi.runtime.set_mocks(recording.mocks, "stellwerk", "dev", preview=False, monitor=recording)
        pulumi.runtime.settings.SETTINGS.callbacks = recording
        loop.run_until_complete(run_pulumi_func(run))

    apart(program)
    return recording
