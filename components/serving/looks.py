"""One look at the models of a namespace for all who wait for them.

Processes of their own for each of a thousand models would leave the cluster no processor to make the pods with.
"""

import asyncio
import functools
import json
import math
import subprocess
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

Value = TypeVar("Value")
Kubectl = Callable[..., str]
Items = list[Any]
"""Deployments, pods and events of one model, as the API shows them."""

# KServe's label of the pods and what they belong to.
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
# So many models a look names; of more it reads the whole namespace.
_NAMED = 100
# After a look that took long there is none for so many times as long: looks have a bounded share of the processor.
_REST_PER_LOOK = 2
# Threads of its own: in the loop's the SDK waits until the engine has made a resource, and the engine for what is asked
# here. With more models than threads nothing would go on.
_THREADS = ThreadPoolExecutor(4, thread_name_prefix="looks")


class NotServingError(RuntimeError):
    """The revision does not serve; the text is the whole message."""


class UnansweredError(NotServingError):
    """The cluster gave no answer; it may give one to the next look."""


async def beside(ask: Callable[..., Value], *arguments: Any) -> Value:
    """Return what a blocking function returns, while the loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, ask, *arguments)


def kubectl(context: str, namespace: str) -> Kubectl:
    """Return a function that runs kubectl in a namespace.

    `stdin` is its input. It raises NotServingError without kubectl, and UnansweredError with its error output.
    """

    def run(*arguments: str, stdin: str = "") -> str:
        words = ["kubectl", "--context", context, "--namespace", namespace, "--request-timeout=20s", *arguments]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False, input=stdin)
        except FileNotFoundError:
            raise NotServingError("kubectl is not on PATH, so it is not known whether the pods serve") from None
        if done.returncode != 0:
            raise UnansweredError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    return run


@dataclass
class Looks:
    """The looks at one namespace: one at a time, at least `rest` seconds apart, and only while somebody waits.

    `run` is kubectl in the namespace. `had` are the numbers of pods, by model, that an update is to give back.
    """

    run: Kubectl
    rest: float = 0.5
    had: dict[str, int] = field(default_factory=dict)
    _wanted: set[str] = field(default_factory=set)
    _next: "asyncio.Task[dict[str, Items]] | None" = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _not_before: float = -math.inf
    _advanced: float = -math.inf

    async def at(self, model: str) -> Items:
        """Return a model's Deployment and pods, and the warnings of pods that have not started.

        All of it is read after the call. Raise UnansweredError where the cluster gives no answer, NotServingError
        where it cannot be asked.
        """
        self._wanted.add(model)
        if self._next is None:
            self._next = asyncio.ensure_future(self._look())
        # Whoever gives up waiting does not end the look of the others.
        seen = await asyncio.shield(self._next)
        return seen.get(model, [])

    def advance(self) -> None:
        """Note that somebody's wait has ended well."""
        self._advanced = time.monotonic()

    def stalled(self, since: float) -> float:
        """Return for how many seconds, from `since` on, nobody's wait has ended well.

        A cluster brings one of a thousand models after the other: the last of them waits, and nothing is wrong.
        """
        return time.monotonic() - max(since, self._advanced)

    async def _look(self) -> dict[str, Items]:
        async with self._turn:
            await asyncio.sleep(max(0, self._not_before - time.monotonic()))
            # Who asks from now on needs to know what is the case after this look.
            wanted, self._wanted, self._next = self._wanted, set(), None
            began = time.monotonic()
            try:
                return await beside(self._read, wanted)
            finally:
                now = time.monotonic()
                self._not_before = now + max(self.rest, _REST_PER_LOOK * (now - began))

    def _read(self, models: Collection[str]) -> dict[str, Items]:
        """Return by model what is to be known of it."""
        named = f"{SERVICE_LABEL} in ({','.join(sorted(models))})"
        selector = named if len(models) <= _NAMED else SERVICE_LABEL
        seen: dict[str, Items] = {model: [] for model in models}
        held_up: dict[str, Items] = {}
        for item in self._get("deployments,pods", "--selector", selector):
            items = seen.get(item["metadata"]["labels"][SERVICE_LABEL])
            if items is None:
                continue
            items.append(item)
            if item["kind"] == "Pod" and item.get("status", {}).get("phase") == "Pending":
                held_up[item["metadata"]["name"]] = items
        if held_up:
            for event in self._get("events", "--field-selector", "involvedObject.kind=Pod,type=Warning"):
                held_up.get(event["involvedObject"].get("name"), []).append(event)
        return seen

    def _get(self, kinds: str, *words: str) -> Items:
        items: Items = json.loads(self.run("get", kinds, *words, "--output", "json"))["items"]
        return items


@functools.cache
def looks(context: str, namespace: str) -> Looks:
    """Return the looks at a namespace, which all waits of a program share."""
    return Looks(kubectl(context, namespace))
