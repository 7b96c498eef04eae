"""Threads that go a step further one at a time, in an order that a seed says."""

import random
import threading
from collections.abc import Callable


class Turns:
    """Lets one of several threads run at a time, and changes between them where they ask for it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self._own: dict[str, threading.Semaphore] = {}
        self._main = threading.Semaphore(0)
        self._ended: set[str] = set()
        self.now = 0.0
        self.errors: list[BaseException] = []

    def run(self, actors: dict[str, Callable[[], None]]) -> None:
        self._own = {name: threading.Semaphore(0) for name in actors}
        threads = [threading.Thread(target=self._one, args=(*item,), name=item[0]) for item in actors.items()]
        for thread in threads:
            thread.start()
        while waiting := sorted(self._own.keys() - self._ended):
            self._own[self.random.choice(waiting)].release()
            self._main.acquire()
        for thread in threads:
            thread.join()

    def _one(self, name: str, work: Callable[[], None]) -> None:
        self._own[name].acquire()
        try:
            work()
        except BaseException as error:
            self.errors.append(error)
        self._ended.add(name)
        self._main.release()

    def step(self, seconds: float = 0.1) -> None:
        """The other one may go on now; when one has failed the other does not wait for it for ever."""
        self.now += seconds
        if self.errors:
            raise AssertionError("the other one has failed")
        self._main.release()
        self._own[threading.current_thread().name].acquire()
