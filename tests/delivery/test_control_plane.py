"""A control plane on a machine that is too busy for it: what it could not do in time is no refusal."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import httpx
import pytest

from delivery.clients import control_plane as module
from delivery.clients.control_plane import ControlPlane, RefusedError, control_plane
from delivery.errors import DeliveryError
from tests.support.simulated import variables

NAMESPACES = "/api/v1/namespaces"
TIMEOUT = {"kind": "Status", "reason": "Timeout", "message": "the request did not complete"}
EXISTS = {"kind": "Status", "reason": "AlreadyExists", "message": 'namespaces "late" already exists'}
Answer = tuple[int | None, Any]
CLOSED: Answer = (None, httpx.RemoteProtocolError("Server disconnected without sending a response."))
LATE = {"metadata": {"name": "late"}}


@contextmanager
def stopped(plane: ControlPlane, seconds: float) -> Iterator[None]:
    """Stop the control plane's etcd for so long; its API server gives up after a second, not half a minute."""
    (process,) = (
        int(each.name)
        for each in Path("/proc").iterdir()
        if each.name.isdigit() and _runs(each, "etcd", plane.kubeconfig.parent)
    )

    def goes_on() -> None:
        plane.client.params = httpx.QueryParams()
        os.kill(process, signal.SIGCONT)

    plane.client.params = httpx.QueryParams(timeout="1s")
    os.kill(process, signal.SIGSTOP)
    again = Timer(seconds, goes_on)
    again.start()
    try:
        yield
    finally:
        again.join()


def _runs(process: Path, name: str, folder: Path) -> bool:
    try:
        return (process / "comm").read_text().strip() == name and (process / "cwd").resolve() == folder
    except OSError:
        return False


@pytest.mark.tools
def test_what_the_server_could_not_do_in_time_is_asked_for_again(tmp_path: Path) -> None:
    with control_plane(variables(), tmp_path) as plane:
        with stopped(plane, 4):
            assert plane.create(NAMESPACES, LATE)["metadata"]["uid"]
        with stopped(plane, 3):
            assert plane.read(f"{NAMESPACES}/late")["metadata"]["name"] == "late"
        with pytest.raises(RefusedError, match="already exists"):
            plane.create(NAMESPACES, LATE)


def answering(*answers: Answer) -> ControlPlane:
    """Return a control plane whose server gives these answers, and the last one for ever."""
    left = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        status, said = left.pop(0) if len(left) > 1 else left[0]
        if status is None:
            raise said
        return httpx.Response(status, text=said) if isinstance(said, str) else httpx.Response(status, json=said)

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="https://placement.invalid")
    return ControlPlane(client, Path("none"))


@pytest.mark.parametrize("first", [(504, TIMEOUT), CLOSED], ids=["timeout", "closed"])
def test_what_was_made_and_not_said_in_time_is_read(first: Answer) -> None:
    plane = answering(first, (409, EXISTS), (200, {"metadata": {"uid": "made"}}))
    assert plane.create(NAMESPACES, LATE) == {"metadata": {"uid": "made"}}


def test_what_was_there_before_is_a_refusal() -> None:
    with pytest.raises(RefusedError, match="already exists"):
        answering((409, EXISTS)).create(NAMESPACES, LATE)
    # A trial makes nothing, however often it is asked for.
    with pytest.raises(RefusedError, match="already exists"):
        answering((504, TIMEOUT), (409, EXISTS)).create(NAMESPACES, LATE, dry=True)


@pytest.mark.parametrize(
    ("answer", "reported"),
    [
        ((504, TIMEOUT), "the API server that places pods fails: the request did not complete"),
        ((500, "gone"), "fails: gone"),
        (CLOSED, "does not answer: Server disconnected"),
    ],
    ids=["status", "text", "closed"],
)
def test_a_server_that_fails_for_good_is_no_refusal(
    answer: Answer, reported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.3)
    with pytest.raises(DeliveryError, match=reported) as failed:
        answering(answer).create(NAMESPACES, LATE)
    assert not isinstance(failed.value, RefusedError)
