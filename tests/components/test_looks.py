"""The looks that all waits for models of a namespace share, against kubectl's answers."""

import asyncio
import gc
import json
import threading
import time
import tracemalloc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from components.serving.looks import SERVICE_LABEL, Looks, NotServingError, UnansweredError, kubectl
from components.serving.rollout import Revision, until_declared, until_served

MODELS = [f"model-{number:04}" for number in range(1000)]
# Seconds: on a busy machine a thread has its turn late.
PATIENCE = 60.0


def revision(model: str, seconds: float = 300) -> Revision:
    return Revision(namespace="x-serving", model=model, digest="new", replicas=1, seconds=seconds)


def deployment(model: str, *, ready: bool = True) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": int(ready)}
    return {
        "kind": "Deployment",
        "metadata": {"name": f"{model}-predictor", "labels": {SERVICE_LABEL: model}, "generation": 1},
        "spec": {"replicas": 1, "template": {"metadata": {"annotations": {"stellwerk.dev/revision": "new"}}}},
        "status": status,
    }


def pod(model: str, phase: str) -> dict[str, Any]:
    metadata = {"name": f"{model}-pod", "labels": {SERVICE_LABEL: model}}
    return {"kind": "Pod", "metadata": metadata, "status": {"phase": phase}}


def warning(name: str) -> dict[str, Any]:
    return {"kind": "Event", "reason": "FailedMount", "involvedObject": {"kind": "Pod", "name": name}}


class Namespace:
    """Answers kubectl with all that is there; counts the processes, and how many there are at a time."""

    def __init__(self, items: Iterable[Any], events: Iterable[Any] = (), seconds: float = 0) -> None:
        self.items, self.events, self.seconds = list(items), list(events), seconds
        self.asked: list[tuple[str, ...]] = []
        self.began: list[float] = []
        self.at_once: list[int] = []
        # Answers wait for it.
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._running = threading.BoundedSemaphore(8)

    def __call__(self, *words: str) -> str:
        with self._running:
            self.at_once.append(8 - self._running._value)
            self.asked.append(words)
            self.began.append(time.monotonic())
            time.sleep(self.seconds)
            assert self.goes_on.wait(PATIENCE)
            return json.dumps({"items": self.events if words[1] == "events" else self.items})

    def selectors(self) -> list[str]:
        return [words[words.index("--selector") + 1] for words in self.asked if words[1] == "deployments,pods"]


async def all_of(looks: Looks, models: Iterable[str]) -> None:
    await asyncio.gather(*(until_served(revision(model), looks, lambda _: None) for model in models))


def test_a_thousand_waits_share_one_look() -> None:
    namespace = Namespace(map(deployment, MODELS))
    asyncio.run(all_of(Looks(namespace), MODELS))
    assert namespace.selectors() == [SERVICE_LABEL]
    assert len(namespace.asked) == 1


def test_a_look_for_few_models_names_them() -> None:
    namespace = Namespace(map(deployment, MODELS))
    asyncio.run(all_of(Looks(namespace), MODELS[1::-1]))
    assert namespace.selectors() == [f"{SERVICE_LABEL} in (model-0000,model-0001)"]


def test_there_is_one_look_at_a_time_and_whoever_comes_meanwhile_gets_the_next_one() -> None:
    namespace = Namespace(map(deployment, MODELS))
    namespace.goes_on.clear()

    async def wait() -> None:
        looks, asked = Looks(namespace, rest=0), list[float]()

        async def ask(model: str) -> None:
            asked.append(time.monotonic())
            await until_declared(revision(model), looks, print)

        waits = [asyncio.ensure_future(ask("model-0001"))]
        while not namespace.began:
            await asyncio.sleep(0.001)
        waits += [asyncio.ensure_future(ask(model)) for model in MODELS[2:9]]
        await asyncio.sleep(0)
        assert len(asked) == len(waits), "the others have asked during the first look"
        namespace.goes_on.set()
        await asyncio.gather(*waits)
        assert namespace.began[1] > max(asked), "what was read before the question is no answer to it"

    asyncio.run(wait())
    assert len(namespace.asked) == 2
    assert set(namespace.at_once) == {1}


def test_looks_that_take_long_are_rare() -> None:
    namespace = Namespace([], seconds=0.05)

    async def look_often() -> None:
        looks = Looks(namespace, rest=0)
        for _ in range(3):
            await looks.at("model-0001")

    asyncio.run(look_often())
    first, second, third = namespace.began
    assert min(second - first, third - second) > 3 * 0.05 * 0.9, "two thirds of the time there is none"


def test_events_are_read_once_and_only_while_pods_have_not_started() -> None:
    running = [pod("model-0001", "Running"), pod("model-0002", "Running")]
    pending = [pod("model-0001", "Pending"), pod("model-0002", "Pending"), pod("model-0003", "Pending")]
    events = [warning("model-0002-pod"), warning("model-0003-pod"), warning("another")]

    async def kinds(looks: Looks) -> list[list[str]]:
        seen = await asyncio.gather(looks.at("model-0001"), looks.at("model-0002"))
        return [[item["kind"] for item in items] for items in seen]

    started = Namespace(running, events)
    assert asyncio.run(kinds(Looks(started))) == [["Pod"], ["Pod"]]
    assert len(started.asked) == 1
    starting = Namespace(pending, events)
    assert asyncio.run(kinds(Looks(starting))) == [["Pod"], ["Pod", "Event"]]
    assert len(starting.asked) == 2


def test_a_wait_that_fails_or_is_given_up_does_not_stop_the_others() -> None:
    namespace = Namespace([deployment("model-0001", ready=False), deployment("model-0002", ready=False)], seconds=0.02)

    async def wait() -> None:
        looks = Looks(namespace, rest=0)

        def until(model: str, seconds: float) -> asyncio.Task[None]:
            return asyncio.ensure_future(until_served(revision(model, seconds), looks, lambda _: None))

        given_up, fails, serves = until("model-0001", 300), until("model-0001", -1), until("model-0002", 300)
        await asyncio.sleep(0.01)
        given_up.cancel()
        with pytest.raises(NotServingError, match="model-0001 does not serve"):
            await fails
        assert not serves.done()
        namespace.items[1] = deployment("model-0002")
        await asyncio.wait_for(serves, PATIENCE)

    asyncio.run(wait())


class Time:
    """Passes only where the test says so, as `time` of the modules that wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        for module in ("looks", "rollout"):
            monkeypatch.setattr(f"components.serving.{module}.time", self)

    def monotonic(self) -> float:
        return self.now

    time = staticmethod(time.time)


def test_a_model_has_its_time_again_whenever_another_one_gets_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """KServe's controller makes one after the other: the last of a thousand is not late while it goes on."""
    namespace, passing = Namespace([]), Time(monkeypatch)

    async def wait() -> None:
        looks = Looks(namespace, rest=0.01)
        waits = [asyncio.ensure_future(until_declared(revision(model, 90), looks, print)) for model in MODELS[:6]]
        for model, declared in zip(MODELS, waits, strict=False):
            passing.now += 60
            namespace.items.append(deployment(model))
            await declared
        late = asyncio.ensure_future(until_declared(revision("model-0007", 90), looks, print))
        await looks.at("model-0007")
        passing.now += 91
        with pytest.raises(NotServingError, match="model-0007: KServe made no Deployment"):
            await late

    asyncio.run(wait())


def test_no_answer_is_told_to_all_who_wait_for_it() -> None:
    def fails(*_: str) -> str:
        raise UnansweredError("kubectl get: the server is not reached")

    async def wait() -> list[Any]:
        looks = Looks(fails, rest=0)
        return await asyncio.gather(*map(looks.at, MODELS[:3]), return_exceptions=True)

    assert [str(error) for error in asyncio.run(wait())] == ["kubectl get: the server is not reached"] * 3


def test_what_was_read_is_kept_no_longer_than_somebody_judges_it() -> None:
    """The program collects no cycles, so there must be none: a thousand models are some 20 MB of JSON a look."""
    text = json.dumps({"items": [deployment(model, ready=False) for model in MODELS]})

    async def look(times: int) -> None:
        looks = Looks(lambda *_: text, rest=0)
        for _ in range(times):
            await asyncio.gather(*map(looks.at, MODELS))

    gc.disable()
    tracemalloc.start()
    try:
        json.loads(text)
        _, one = tracemalloc.get_traced_memory()
        asyncio.run(look(1))
        tracemalloc.reset_peak()
        asyncio.run(look(5))
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < one
    assert most < 3 * one


def test_a_look_needs_none_of_the_threads_in_which_the_sdk_waits() -> None:
    """As many models as the loop has threads, each waiting for a resource: whoever looks at their pods goes on."""
    asked = threading.Event()

    def answer(*_: str) -> str:
        asked.set()
        return json.dumps({"items": [deployment("model-0001")]})

    async def look() -> bool:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        waiting = loop.run_in_executor(None, asked.wait, PATIENCE)
        await until_declared(revision("model-0001"), Looks(answer), print)
        return await waiting

    assert asyncio.run(look())


def test_kubectls_error_output_is_the_reason(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotServingError, match="not on PATH") as raised:
        kubectl("there", "x-serving")("get", "pods")
    assert not isinstance(raised.value, UnansweredError)
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\necho "no context $2" >&2\nexit 1\n')
    program.chmod(0o755)
    with pytest.raises(UnansweredError, match="kubectl get pods: no context there"):
        kubectl("there", "x-serving")("get", "pods")
