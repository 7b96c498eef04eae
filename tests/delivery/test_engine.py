"""The engine's command line: what its failures mean, and whose lock it is."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from delivery.clients import engine
from delivery.errors import DeliveryError
from infra.values import ROOT
from tests.delivery.conftest import Engine, Project, Words

Script = Callable[[str], None]


@pytest.fixture
def script(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Puts a shell script in the place of pulumi."""
    folder = tmp_path / "bin"
    folder.mkdir()
    surroundings = engine.surroundings() | {"PATH": f"{folder}:{os.environ['PATH']}"}
    surroundings["PULUMI_CONFIG_PASSPHRASE_FILE"] = "/home/somebody/passphrase"
    monkeypatch.setattr(engine, "surroundings", lambda: surroundings)

    def write(text: str) -> None:
        (folder / "pulumi").write_text(f"#!/bin/sh\n{text}\n")
        (folder / "pulumi").chmod(0o755)

    return write


def test_an_interrupted_command_may_end_by_itself(script: Script, tmp_path: Path) -> None:
    """As at a terminal: both are interrupted; the engine needs a second for its lock and its state."""
    script(
        f"trap 'sleep 1; touch {tmp_path}/ended; exit 1' INT; touch {tmp_path}/started; while :; do sleep 0.05; done"
    )
    program = f"""if True:
        import signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        from delivery.clients import engine
        engine.surroundings = lambda: {engine.surroundings()!r}
        signal.signal(signal.SIGINT, signal.default_int_handler)
        engine.call(["pulumi"])
    """
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stderr=subprocess.DEVNULL)
    while not (tmp_path / "started").exists():
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) != 0
    assert (tmp_path / "ended").exists()


EVENT = {
    "resourcePreEvent": {
        "metadata": {
            "op": "update", "urn": "urn:pulumi:prod::stellwerk::kubernetes:core/v1:ConfigMap::settings",
            "type": "kubernetes:core/v1:ConfigMap", "old": {"id": "x/settings"}, "new": {"inputs": {}},
        }
    }
}  # fmt: skip
# Puts the file after --event-log into $log, the one after --config-file into $config.
ARGUMENTS = """for a; do
  [ "$last" = --event-log ] && log=$a; [ "$last" = --config-file ] && config=$a; last=$a
done
"""


def test_a_preview_uses_the_text_it_is_given_and_reads_the_engine_s_events(
    script: Script, tmp_path: Path, project: Project
) -> None:
    script(f"{ARGUMENTS}cp $config {tmp_path}/seen; stat -c %a $(dirname $log) > {tmp_path}/mode\n"
           f"echo '{json.dumps(EVENT)}' > $log; echo $PULUMI_DEBUG_COMMANDS $config > {tmp_path}/said")  # fmt: skip
    before = project.text("prod")
    found = engine.preview("prod", "config: {}\r\n", shown=True)
    assert [step.name for step in found.changes] == ["settings"]
    assert (tmp_path / "seen").read_bytes() == b"config: {}\r\n"
    assert (tmp_path / "mode").read_text() == "700\n", "others can read the stack file and the engine's events"
    flag, _, config = (tmp_path / "said").read_text().partition(" ")
    assert flag == "true", "the engine takes no --event-log"
    assert not Path(config.strip()).parent.exists()
    assert Path(config.strip()).is_relative_to(tmp_path / "state"), "what a killed command leaves would stay"
    assert project.text("prod") == before


@pytest.mark.parametrize("shown", [True, False])
def test_a_preview_that_fails_is_told(shown: bool, script: Script) -> None:
    script("echo the reason >&2; exit 1")
    with pytest.raises(DeliveryError, match="the preview of prod failed" if shown else "the reason"):
        engine.preview("prod", "config: {}\n", shown=shown)


@pytest.mark.parametrize(
    ("does", "expected"),
    [
        ("exit 0", engine.Update(succeeded=True, begun=False)),
        ("exit 255", engine.Update(succeeded=False, begun=False)),
        (f"echo '{json.dumps(EVENT)}' > $log; exit 1", engine.Update(succeeded=False, begun=True)),
        ("printf '{\"sequence\": 1' > $log; exit 1", engine.Update(succeeded=False, begun=True)),
    ],
    ids=["nothing to do", "refused", "failed", "killed"],
)
def test_an_update_says_whether_it_has_begun(does: str, expected: engine.Update, script: Script) -> None:
    script(ARGUMENTS + does)
    assert engine.update("prod", "config: {}\n") == expected


def test_an_update_that_makes_no_sense_any_more_is_interrupted_and_waited_for(script: Script, tmp_path: Path) -> None:
    script(f"trap 'sleep 1; touch {tmp_path}/ended; exit 1' INT; while :; do sleep 0.05; done")
    began = time.monotonic()
    assert not engine.update("prod", "config: {}\n", lambda: time.monotonic() > began + 1.5).succeeded
    assert (tmp_path / "ended").exists(), "its lock and half an update would stay"


def test_changes_of_one_environment_wait_for_each_other(project: Project, words: Words) -> None:
    """By processes: another checkout with the same backend, too. The system frees the lock of one that is killed."""
    program = f"""if True:
        import sys, time
        sys.path.insert(0, {str(ROOT)!r})
        from delivery.clients import engine
        from rich.console import Console
        engine.surroundings = lambda: {engine.surroundings()!r}
        with engine.locked("prod", Console()):
            print("locked", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with engine.locked("test", words.console):
        assert words.stream.getvalue() == "", "another environment's lock was waited for"
    threading.Timer(0.5, process.kill).start()
    with engine.locked("prod", words.console):
        assert process.wait() != 0
    assert words.stream.getvalue() == "waiting for another change of prod to end\n"


def test_a_backend_elsewhere_has_its_lock_in_the_target_s_folder_for_the_command(
    project: Project, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"PULUMI_BACKEND_URL": "s3://state", "STELLWERK_WORK": str(tmp_path / "work")}
    monkeypatch.setattr(engine, "surroundings", lambda: target)
    with engine.locked("prod", words.console):
        assert list((tmp_path / "work" / "locks").glob("prod-*.lock"))
    del target["STELLWERK_WORK"]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with engine.locked("prod", words.console):
        assert list((tmp_path / "temporary").glob("stellwerk-*/locks/prod-*.lock"))


def test_the_state_of_a_stack_is_another_after_each_update(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "backend" / ".pulumi" / "stacks" / "stellwerk"
    folder.mkdir(parents=True)
    (folder / "prod.json").write_text("{}")
    before = engine.state("prod")
    (folder / "test.json").write_text("{}")
    assert engine.state("prod") == before
    os.replace(folder / "test.json", folder / "prod.json")
    assert engine.state("prod") != before


@pytest.mark.parametrize(
    "said",
    [
        "error: getting secrets manager: incorrect passphrase",
        "error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
    ],
)
def test_a_wrong_passphrase_names_where_it_comes_from(said: str, script: Script) -> None:
    script(f"echo '{said}' >&2; exit 255")
    with pytest.raises(DeliveryError) as raised:
        engine.credentials("prod")
    assert str(raised.value) == (
        "the passphrase in /home/somebody/passphrase does not open the secrets of this stack; "
        "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to the one they were made with"
    )


def test_a_failure_ends_with_the_engine_s_last_words(script: Script) -> None:
    script("seq 1 20 >&2; exit 3")
    with pytest.raises(DeliveryError) as raised:
        engine.run("config", "get", "stellwerk:credentials", "--stack", "prod")
    first, *rest = str(raised.value).splitlines()
    assert first == "`pulumi config get stellwerk:credentials --stack` ended with 3:"
    assert rest == [str(number) for number in range(13, 21)]


def test_a_secret_is_given_by_standard_input_never_by_the_command_line(script: Script, tmp_path: Path) -> None:
    script(f'echo "$@" > {tmp_path}/arguments; cat')
    assert engine.run("config", "set", "key", "--secret", stdin="very-secret") == "very-secret"
    assert (tmp_path / "arguments").read_text() == "config set key --secret --non-interactive\n"


def test_the_engine_runs_where_the_project_is(script: Script, project: Project) -> None:
    script("pwd")
    assert engine.run("about").strip() == str(project.root)


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(engine.run, id="run"),
        pytest.param(engine.show, id="show"),
    ],
)
def test_without_pulumi_the_doctor_is_named(
    ask: Callable[..., object], project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "surroundings", lambda: {"PATH": str(tmp_path)})
    with pytest.raises(DeliveryError, match="pulumi: not found; run `stellwerk doctor`"):
        ask("stack", "ls")


def test_what_the_user_sees_leaves_standard_output_alone(script: Script, capfd: pytest.CaptureFixture[str]) -> None:
    script('echo "$1: to standard output"; [ "$1" = up ]')
    assert engine.show("up", "--stack", "prod")
    assert not engine.show("preview", "--stack", "prod")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == "up: to standard output\npreview: to standard output\n"


def test_stacks_of_a_backend_that_is_not_there_yet(script: Script, tmp_path: Path) -> None:
    script(f'[ -d {tmp_path}/state/backend ] && echo \'[{{"name": "dev"}}, {{"name": "prod"}}]\'')
    assert engine.stacks() == {"dev", "prod"}


def test_outputs_of_a_stack_that_was_never_made_or_applied_say_what_to_run(pulumi: Engine) -> None:
    with pytest.raises(DeliveryError, match="there is no such stack yet; run `stellwerk init dev`, then `pulumi up"):
        engine.outputs("dev")
    pulumi.stacks.add("dev")
    with pytest.raises(DeliveryError, match="the stack has no outputs yet; run `pulumi up --stack dev`"):
        engine.outputs("dev")
    pulumi.outputs = {"gateway": "https://gateway.test"}
    assert engine.outputs("dev") == pulumi.outputs


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


def test_without_a_lock_nothing_is_waited_for(pulumi: Engine, words: Words) -> None:
    engine.wait_for_lock("prod", words.console)
    assert pulumi.commands == []
    assert words.stream.getvalue() == ""


@pytest.mark.parametrize("pid", [ended, os.getpid], ids=["ended", "another program has its number"])
def test_the_lock_of_a_killed_update_is_removed(
    pid: Callable[[], int], locks: Path, pulumi: Engine, words: Words
) -> None:
    lock(locks, pid())
    engine.wait_for_lock("prod", words.console)
    assert pulumi.commands == [("cancel", "--stack", "prod", "--yes")]
    assert "removing the lock of an interrupted update of prod" in words


def test_a_running_update_is_waited_for(
    running: int, locks: Path, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [lock(locks, running), lock(locks, ended())]
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            for file in files:
                file.unlink()

    monkeypatch.setattr(engine.time, "sleep", sleep)
    engine.wait_for_lock("prod", words.console)
    assert len(pauses) == 3
    assert pulumi.commands == [], "the lock of a running update was removed"
    assert words.stream.getvalue().count(f"waiting for another update of prod (process {running})") == 1


def test_an_update_on_another_machine_is_waited_for(
    locks: Path, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = lock(locks, ended(), "another-machine")
    monkeypatch.setattr(engine.time, "sleep", lambda _: file.unlink())
    engine.wait_for_lock("prod", words.console)
    assert pulumi.commands == []


def test_the_holder_of_the_engine_s_lock_is_named(running: int, locks: Path, pulumi: Engine) -> None:
    assert engine.lock_holder("prod") is None
    lock(locks, ended())
    assert engine.lock_holder("prod") is None
    lock(locks, running)
    assert engine.lock_holder("prod") == f"somebody@{socket.gethostname()}, process {running}"


def test_a_half_written_lock_is_no_lock(locks: Path, pulumi: Engine, words: Words) -> None:
    (locks / "new.json").write_text('{"pid": 1')
    engine.wait_for_lock("prod", words.console)
    assert pulumi.commands == []


def test_locks_of_other_environments_do_not_matter(locks: Path, running: int, pulumi: Engine, words: Words) -> None:
    lock(locks, running)
    engine.wait_for_lock("test", words.console)
    assert words.stream.getvalue() == ""


def test_other_backends_know_their_clients_themselves(
    locks: Path, running: int, pulumi: Engine, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock(locks, running)
    monkeypatch.setattr(engine, "surroundings", lambda: {"PULUMI_BACKEND_URL": "s3://state"})
    engine.wait_for_lock("prod", words.console)
    assert words.stream.getvalue() == ""
