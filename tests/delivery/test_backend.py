"""Whose turn it is: the command's own lock, and the engine's."""

import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from delivery.clients.backend import Backend
from delivery.clients.engine import Engine
from delivery.clients.snapshots import Snapshots
from delivery.errors import DeliveryError
from infra.values import ROOT
from tests.support.engine import FakeEngine
from tests.support.session import FakeClock, Words


@pytest.fixture
def backend(pulumi: FakeEngine) -> Backend:
    return Backend(pulumi)


def test_changes_of_one_environment_wait_for_each_other(
    tmp_path: Path, target_variables: dict[str, str], words: Words, clock: FakeClock
) -> None:
    """By processes: another checkout with the same backend, too. The system frees the lock of one that is killed."""
    backend = Backend(Engine(tmp_path, target_variables, clock))
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
    clock.asleep = lambda _: process.kill()
    with backend.locked("prod", words.console):
        assert process.wait() != 0
    assert words.stream.getvalue() == "waiting for another change of prod to end\n"


class Elsewhere(Engine):
    """An engine whose backend is no folder of this machine."""

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        assert arguments == ("stack", "export", "--stack", "prod")
        return '{"version": 3, "deployment": {"resources": []}}'


def elsewhere(tmp_path: Path) -> Backend:
    variables = {"PULUMI_BACKEND_URL": "s3://state", "STELLWERK_WORK": str(tmp_path / "work")}
    return Backend(Elsewhere(tmp_path, variables))


def test_a_backend_elsewhere_has_its_lock_among_the_command_s_own_files(words: Words, tmp_path: Path) -> None:
    with elsewhere(tmp_path).locked("prod", words.console):
        assert list((tmp_path / "work" / "locks").glob("prod-*.lock"))


def test_a_state_elsewhere_is_kept_before_it_changes(words: Words, tmp_path: Path) -> None:
    """In a file backend the engine does that."""
    backend = elsewhere(tmp_path)
    with backend.locked("prod", words.console):
        (kept,) = Snapshots(backend.engine, "prod").backups()
        assert kept.export() == {"version": 3, "deployment": {"resources": []}}
        assert stat.S_IMODE(kept.file.stat().st_mode) == 0o600


def test_the_state_of_a_stack_is_another_after_each_update(backend: Backend, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "backend" / ".pulumi" / "stacks" / "stellwerk"
    folder.mkdir(parents=True)
    (folder / "prod.json").write_text("{}")
    before = backend.state("prod")
    (folder / "test.json").write_text("{}")
    # Both may have been written within one tick of the file system's clock.
    os.utime(folder / "test.json", ns=(0, 0))
    assert backend.state("prod") == before
    os.replace(folder / "test.json", folder / "prod.json")
    assert backend.state("prod") != before


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    """Where the file backend keeps the locks of prod."""
    folder = tmp_path / "state" / "backend" / ".pulumi" / "locks" / "organization" / "stellwerk" / "prod"
    folder.mkdir(parents=True)
    return folder


def lock(folder: Path, pid: int, hostname: str | None = None, since: float | None = None) -> Path:
    """Write a lock as the engine does: under a name that is never used again, with the digest of its content beside."""
    file = folder / f"{uuid4()}.json"
    moment = datetime.fromtimestamp(since or time.time(), UTC).isoformat()
    said = {"pid": pid, "hostname": hostname or socket.gethostname(), "username": "somebody", "timestamp": moment}
    file.write_text(json.dumps(said))
    file.with_name(f"{file.name}.attrs").write_text("{}")
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


def unwaited() -> int:
    """The id of a process that was killed and that nobody has waited for."""
    process = subprocess.Popen(["sleep", "60"])
    process.kill()
    while " Z " not in Path(f"/proc/{process.pid}/stat").read_text():
        time.sleep(0.01)
    return process.pid


@pytest.mark.parametrize(
    "pid", [ended, unwaited, os.getpid], ids=["ended", "not waited for", "another program has its number"]
)
def test_the_lock_of_a_killed_update_is_removed(
    pid: Callable[[], int], locks: Path, pulumi: FakeEngine, backend: Backend, words: Words
) -> None:
    lock(locks, pid())
    backend.wait("prod", words.console)
    assert list(locks.iterdir()) == []
    assert "removing the lock of an interrupted update of prod" in words
    assert pulumi.locks("prod").interrupted, "the next update would trust the state"


def test_a_process_that_began_long_after_the_lock_is_not_its_owner(
    running: int, locks: Path, backend: Backend, words: Words
) -> None:
    """Numbers come again, after a restart of the machine above all."""
    lock(locks, running, since=time.time() - 3600)
    backend.wait("prod", words.console)
    assert list(locks.iterdir()) == []


def test_a_lock_taken_while_a_dead_one_is_removed_stays(
    running: int, locks: Path, pulumi: FakeEngine, backend: Backend, words: Words
) -> None:
    """`pulumi cancel` removes all of them: two would write."""
    lock(locks, ended())
    begun = lock(locks, running)
    assert len(pulumi.locks("prod").break_dead()) == 1
    assert begun.exists()
    assert pulumi.commands == []


def test_many_who_break_a_lock_remove_it_once(locks: Path, pulumi: FakeEngine) -> None:
    files = [lock(locks, ended()) for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:
        broken = [file for taken in pool.map(lambda _: pulumi.locks("prod").break_dead(), range(4)) for file in taken]
    assert sorted(item.file for item in broken) == sorted(files)


def test_a_killed_engine_s_half_written_lock_is_removed(locks: Path, backend: Backend, words: Words) -> None:
    """It would stop every later update: the engine cannot read it. It is none's who has changed anything."""
    file = locks / f"{uuid4()}.json.18abc.tmp"
    file.write_text('{"pid": 1')
    os.utime(file, (time.time() - 60,) * 2)
    backend.wait("prod", words.console)
    assert not file.exists()
    assert backend.engine.locks("prod").interrupted is None


def test_a_running_update_is_waited_for(
    running: int, locks: Path, pulumi: FakeEngine, backend: Backend, words: Words, clock: FakeClock
) -> None:
    held, _ = lock(locks, running), lock(locks, ended())
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            held.unlink()

    clock.asleep = sleep
    backend.wait("prod", words.console)
    assert len(pauses) == 3
    assert backend.engine.locks("prod").interrupted, "nobody knows of the one that was killed"
    said = f"waiting for another update of prod (somebody@{socket.gethostname()}, process {running}, since "
    assert words.stream.getvalue().count(said) == 1


def test_an_update_on_another_machine_is_waited_for(
    locks: Path, pulumi: FakeEngine, backend: Backend, words: Words, clock: FakeClock
) -> None:
    file = lock(locks, ended(), "another-machine")
    clock.asleep = lambda _: file.unlink()
    backend.wait("prod", words.console)
    assert clock.now > 0


def test_a_lock_of_another_machine_that_stays_is_refused_with_what_to_do(
    locks: Path, backend: Backend, words: Words, clock: FakeClock
) -> None:
    pid = ended()
    file = lock(locks, pid, "another-machine", since=0.5)
    with pytest.raises(DeliveryError) as raised:
        backend.wait("prod", words.console)
    assert file.exists(), "nothing here can tell whether its owner lives"
    assert f"somebody@another-machine, process {pid}, since 1970-01-01" in str(raised.value)
    assert "pulumi cancel --stack prod" in str(raised.value)
    with pytest.raises(DeliveryError, match="another-machine"):
        backend.require_free("prod", words.console)


def test_who_asks_for_a_free_stack_is_not_made_to_wait(
    running: int, locks: Path, backend: Backend, words: Words, clock: FakeClock
) -> None:
    file = lock(locks, running)
    with pytest.raises(DeliveryError, match=f"another update runs .somebody@.*, process {running}, since .* wait"):
        backend.require_free("prod", words.console)
    file.unlink()
    lock(locks, ended())
    backend.require_free("prod", words.console)
    assert clock.now == 0


def test_the_holder_of_the_engine_s_lock_is_named(
    running: int, locks: Path, pulumi: FakeEngine, backend: Backend
) -> None:
    assert backend.holder("prod") is None
    lock(locks, ended())
    assert backend.holder("prod") is None
    lock(locks, running)
    assert str(backend.holder("prod")).startswith(f"somebody@{socket.gethostname()}, process {running}, since ")


def test_a_lock_that_is_being_written_is_left_alone(locks: Path, backend: Backend, words: Words) -> None:
    (locks / "new.json").write_text('{"pid": 1')
    backend.wait("prod", words.console)
    assert (locks / "new.json").exists()


def test_what_a_killed_engine_has_begun_to_write_beside_its_files_is_removed(
    backend: Backend, tmp_path: Path, words: Words
) -> None:
    """With an empty one of the state's the engine refuses every command: `failed to load checkpoint: EOF`."""
    places = [
        tmp_path / "state/backend/.pulumi" / name
        for name in ("stacks/stellwerk/prod.json", "stacks/stellwerk/prod.json.bak", "history/stellwerk/prod/1.json")
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("{}")
        place.with_name(f"{place.name}.attrs").touch()
    whole = places[1].with_name(f"{places[1].name}.attrs")
    whole.write_text("{}")
    backend.wait("prod", words.console)
    left = {file for place in places for file in place.parent.glob("*")}
    assert left == {*places, whole}


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
