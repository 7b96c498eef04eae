"""Runs a declaration of components under mocks, and keeps what it registers as the engine would see it."""

import asyncio
import threading
from collections.abc import Callable

import pulumi
from pulumi.runtime.stack import run_pulumi_func

from tests.program.harness import Recording


def declared(declare: Callable[[], object]) -> Recording:
    """Return what `declare` registers; raises what it raises."""
    recording, failure = Recording(), list[BaseException]()

    def program() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        pulumi.runtime.set_mocks(recording.mocks, "stellwerk", "dev", preview=False, monitor=recording)
        pulumi.runtime.settings.SETTINGS.callbacks = recording
        try:
            loop.run_until_complete(run_pulumi_func(lambda: declare() and None))
        except BaseException as error:
            failure.append(error)
        finally:
            loop.close()

    # A new thread starts with an empty context: no settings of another test are left.
    thread = threading.Thread(target=program)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return recording
