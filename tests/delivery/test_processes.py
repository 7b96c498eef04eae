"""What outlives a killed engine is ended, and nothing else."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from delivery.clients.processes import end_survivors

Start = Callable[..., subprocess.Popen[bytes]]
# Seconds: a killed process ends at once where the machine is not busy.
PATIENCE = 60


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return a backend of the test's own: another one, beside it, would end its processes."""
    return f"file://{tmp_path}/backend"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process of this name, under a backend's variable."""
    started = []

    def begin(
        name: str, url: str | None, program: str = "/bin/sleep", *arguments: str, of: str | None = None
    ) -> subprocess.Popen[bytes]:
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(program)
        variables = {"PATH": f"{tmp_path}:/usr/bin:/bin"} | ({"PULUMI_BACKEND_URL": url} if url else {})
        variables |= {"STELLWERK_BACKEND": of} if of else {}
        process = subprocess.Popen([tmp_path / name, *(arguments or ("60",))], env=variables, stdout=subprocess.PIPE)
        started.append(process)
        await_program(process.pid, name)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def await_program(pid: int, name: str) -> None:
    """Wait until a process that has been started is this program: its name comes first, then its variables."""
    place = Path("/proc", str(pid))
    while (place / "comm").read_text().strip() != name[:15] or not (place / "environ").read_bytes():
        time.sleep(0.01)


def test_a_provider_that_has_outlived_its_engine_is_ended(start: Start, url: str) -> None:
    provider, host = start("pulumi-resource-kubernetes", url), start("pulumi-language-python", url)
    assert end_survivors(url) == 2
    assert (provider.wait(PATIENCE), host.wait(PATIENCE)) == (-9, -9)


def test_a_provider_of_a_copy_of_the_state_is_one_of_the_backend_s(start: Start, url: str) -> None:
    provider = start("pulumi-resource-kubernetes", "file:///tmp/copy", of=f"{url}?metadata=skip")
    assert end_survivors("file:///tmp/copy") == 0
    assert end_survivors(url) == 1
    assert provider.wait(PATIENCE) == -9


def test_whatever_is_not_of_a_dead_engine_of_this_backend_goes_on(start: Start, url: str) -> None:
    others = [
        start("pulumi-resource-kubernetes", "file:///another/backend"),
        start("pulumi-resource-kubernetes", None),
        start("another-program", url),
    ]
    assert end_survivors(url) == 0
    assert [process.poll() for process in others] == [None, None, None]


def test_the_provider_of_an_engine_that_runs_goes_on(start: Start, url: str, tmp_path: Path) -> None:
    (tmp_path / "pulumi-resource-kubernetes").symlink_to("/bin/sleep")
    engine = start("pulumi", url, "/bin/sh", "-c", "pulumi-resource-kubernetes 60 & echo $!; wait")
    assert engine.stdout is not None
    pid = int(engine.stdout.readline())
    await_program(pid, "pulumi-resource-kubernetes")
    provider = Path("/proc", str(pid))
    try:
        assert end_survivors(url) == 0
        assert provider.exists()
    finally:
        engine.kill()
        engine.wait()
        assert end_survivors(url) == 1, "without its engine it is one of those"
