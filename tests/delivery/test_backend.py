"""Whose turn it is: the command's own lock, and the engine's."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from delivery.clients.backend import Backend
from delivery.clients.engine import Engine
from delivery.clock import Clock
from infra.values import ROOT
from tests.support.engine import FakeEngine
from tests.support.session import FakeClock, Words


@pytest.fixture
def backend(pulumi: FakeEngine) -> Backend:
    return Backend(pulumi)


def test_changes_of_one_environment_wait_for_each_other(
    tmp_path: Path, target_variables: dict[str, str], words: Words
) -> None:
    """By processes: another checkout with the same backend, too. The system frees the lock of one that is killed."""
    backend = Backend(Engine(tmp_path, target_variables, Clock()))
    program = f"""if True:
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from delivery.clients.backend import Backend
        from delivery.clients.engine import Engine
        from rich.console import Console
        with Backend(Engine(Path(), {target_variables!r})).locked("prod", Console()):
            print("locked", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with backend.locked("test", words.console):
        assert words.stream.getvalue() == "", "another environment's lock was waited for"
    threading.Timer(0.2, process.kill).start()
    with backend.locked("prod", words.console):
        assert process.wait() != 0
    assert words.stream.getvalue() == "waiting for another change of prod to end\n"


def elsewhere(tmp_path: Path) -> Backend:
    """A backend that is no folder of this machine."""
    variables = {"PULUMI_BACKEND_URL": "s3://state", "STELLWERK_WORK": str(tmp_path / "work")}
    return Backend(Engine(tmp_path, variables))


def test_a_backend_elsewhere_has_its_lock_among_the_command_s_own_files(words: Words, tmp_path: Path) -> None:
    with elsewhere(tmp_path).locked("prod", words.console):
        assert list((tmp_path / "work" / "locks").glob("prod-*.lock"))


def test_the_state_of_a_stack_is_another_after_each_update(backend: Backend, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "backend" / ".pulumi" / "stacks" / "stellwerk"
    folder.mkdir(parents=True)
    (folder / "prod.json").write_text("{}")
    before = backend.state("prod")
    (folder / "test.json").write_text("{}")
    assert backend.state("prod") == before
    os.replace(folder / "test.json", folder / "prod.json")
    assert backend.state("prod") != before


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    """Where the file backend keeps the locks of prod."""
    folder = tmp_path / "state" / "backend" / ".pulumi" / "locks" / "organization" / "stellwerk" / "prod"
    folder.mkdir(parents=True)
    return folder


def lock(folder: Path, pid: int, hostname: str | None = None) -> Path:
    file = folder / f"{pid}.json"
    file.write_text(json.dumps({"pid": pid, "hostname": hostname or socket.gethostname(), "username": "somebody"}))
    return file


@pytest.fixture
def running(tmp_path: Path) -> Iterator[int]:
    """A process whose command is called pulumi."""
    (tmp_path / "pulumi").symlink_to("/bin/sleep")
    process = subprocess.Popen([tmp_path / "pulumi", "60"])
    yield process.pid
    process.kill()
    process.wait()


def ended() -> int:
    """The id of a process that is over."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_without_a_lock_nothing_is_waited_for(pulumi: FakeEngine, backend: Backend, words: Words) -> None:
    backend.wait("prod", words.console)
    assert pulumi.commands == []
    assert words.stream.getvalue() == ""


@pytest.mark.parametrize("pid", [ended, os.getpid], ids=["ended", "another program has its number"])
def test_the_lock_of_a_killed_update_is_removed(
    pid: Callable[[], int], locks: Path, pulumi: FakeEngine, backend: Backend, words: Words
) -> None:
    lock(locks, pid())
    backend.wait("prod", words.console)
    assert pulumi.commands == [("cancel", "--stack", "prod", "--yes")]
    assert "removing the lock of an interrupted update of prod" in words


def test_a_running_update_is_waited_for(
    running: int, locks: Path, pulumi: FakeEngine, backend: Backend, words: Words, clock: FakeClock
) -> None:
    files = [lock(locks, running), lock(locks, ended())]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            for file in files:
                file.unlink()

    clock.asleep = sleep
    backend.wait("prod", words.console)
    assert len(pauses) == 3
    assert pulumi.commands == [], "the lock of a running update was removed"
    assert words.stream.getvalue().count(f"waiting for another update of prod (process {running})") == 1


def test_an_update_on_another_machine_is_waited_for(
    locks: Path, pulumi: FakeEngine, backend: Backend, words: Words, clock: FakeClock
) -> None:
    file = lock(locks, ended(), "another-machine")
    clock.asleep = lambda _: file.unlink()
    backend.wait("prod", words.console)
    assert pulumi.commands == []


def test_the_holder_of_the_engine_s_lock_is_named(
    running: int, locks: Path, pulumi: FakeEngine, backend: Backend
) -> None:
    assert backend.holder("prod") is None
    lock(locks, ended())
    assert backend.holder("prod") is None
    lock(locks, running)
    assert backend.holder("prod") == f"somebody@{socket.gethostname()}, process {running}"


def test_a_half_written_lock_is_no_lock(locks: Path, pulumi: FakeEngine, backend: Backend, words: Words) -> None:
    (locks / "new.json").write_text('{"pid": 1')
    backend.wait("prod", words.console)
    assert pulumi.commands == []


def test_locks_of_other_environments_do_not_matter(
    locks: Path, running: int, pulumi: FakeEngine, backend: Backend, words: Words
) -> None:
    lock(locks, running)
    backend.wait("test", words.console)
    assert words.stream.getvalue() == ""


def test_other_backends_know_their_clients_themselves(locks: Path, running: int, words: Words, tmp_path: Path) -> None:
    lock(locks, running)
    elsewhere(tmp_path).wait("prod", words.console)
    assert words.stream.getvalue() == ""
