"""The engine's command line: what it is given, and what its failures mean."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from delivery.clients.engine import Engine, Update
from delivery.clients.process import call
from delivery.clock import Clock
from delivery.errors import DeliveryError
from infra.values import ROOT
from tests.support.checkout import Checkout
from tests.support.engine import FakeEngine

Script = Callable[[str], None]


@pytest.fixture
def engine(project: Checkout, tmp_path: Path, target_variables: dict[str, str]) -> Engine:
    """The engine's client, with a folder for a script in the place of pulumi."""
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    more = {"PATH": path, "PULUMI_CONFIG_PASSPHRASE_FILE": "/home/somebody/passphrase"}
    return Engine(project.root, {**os.environ, **target_variables, **more}, Clock())


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Puts a shell script in the place of pulumi."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def write(text: str) -> None:
        (folder / "pulumi").write_text(f"#!/bin/sh\n{text}\n")
        (folder / "pulumi").chmod(0o755)

    return write


def sleeps(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_an_interrupted_command_may_end_by_itself(script: Script, engine: Engine, tmp_path: Path) -> None:
    """As at a terminal: both are interrupted; the engine needs a second for its lock and its state."""
    script(
        f"trap 'sleep 0.2; touch {tmp_path}/ended; exit 1' INT; touch {tmp_path}/started; while :; do sleep 0.05; done"
    )
    program = f"""if True:
        import signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from delivery.clients.process import call
        signal.signal(signal.SIGINT, signal.default_int_handler)
        call(["pulumi"], Path({str(tmp_path)!r}), {dict(engine.variables)!r})
    """
    process = subprocess.Popen([sys.executable, "-c", program], start_new_session=True, stderr=subprocess.DEVNULL)
    # It waits for the command by then: interrupted before that, it would leave it alone.
    while not ((tmp_path / "started").exists() and sleeps(process.pid)):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(300) != 0
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
    script: Script, engine: Engine, tmp_path: Path, project: Checkout
) -> None:
    script(f"{ARGUMENTS}cp $config {tmp_path}/seen; stat -c %a $(dirname $log) > {tmp_path}/mode\n"
           f"echo '{json.dumps(EVENT)}' > $log; echo $PULUMI_DEBUG_COMMANDS $config > {tmp_path}/said")  # fmt: skip
    before = project.text("prod")
    planned = engine.preview("prod", "config: {}\r\n", shown=True)
    assert [step.name for step in planned.changes] == ["settings"]
    assert (tmp_path / "seen").read_bytes() == b"config: {}\r\n"
    assert (tmp_path / "mode").read_text() == "700\n", "others can read the stack file and the engine's events"
    flag, _, config = (tmp_path / "said").read_text().partition(" ")
    assert flag == "true", "the engine takes no --event-log"
    assert not Path(config.strip()).parent.exists()
    assert Path(config.strip()).is_relative_to(tmp_path / "state"), "what a killed command leaves would stay"
    assert project.text("prod") == before


def test_a_preview_of_other_documents_tells_the_program_where_they_are(
    script: Script, engine: Engine, tmp_path: Path
) -> None:
    script(f"{ARGUMENTS}: > $log; echo ${{STELLWERK_STACKS-none}} >> {tmp_path}/said")
    engine.preview("prod", "config: {}\n", shown=False)
    engine.preview("prod", "config: {}\n", shown=False, documents=tmp_path / "revision")
    assert (tmp_path / "said").read_text().splitlines() == ["none", f"{tmp_path}/revision"]


@pytest.mark.parametrize("shown", [True, False])
def test_a_preview_that_fails_is_told(shown: bool, script: Script, engine: Engine) -> None:
    script("echo the reason >&2; exit 1")
    with pytest.raises(DeliveryError, match="the preview of prod failed" if shown else "the reason"):
        engine.preview("prod", "config: {}\n", shown=shown)


def test_a_preview_that_nobody_sees_fails_with_what_its_events_say(script: Script, engine: Engine) -> None:
    urn = EVENT["resourcePreEvent"]["metadata"]["urn"]
    said = [
        {"severity": "warning", "message": "not this"},
        {"severity": "error", "message": "the reason\n  given: 1\n"},
        {"severity": "error", "message": "refused", "urn": urn},
    ]
    lines = "".join(json.dumps({"diagnosticEvent": each}) + "\n" for each in said)
    script(f"{ARGUMENTS}cat > $log <<'END'\n{lines}END\necho something else >&2; exit 1")
    with pytest.raises(DeliveryError) as raised:
        engine.preview("prod", "config: {}\n", shown=False)
    assert str(raised.value) == (
        "the preview of prod failed; nothing was changed:\nthe reason\n  given: 1\nConfigMap settings: refused"
    )


@pytest.mark.parametrize(
    ("does", "expected"),
    [
        ("exit 0", Update(succeeded=True, begun=False)),
        ("exit 255", Update(succeeded=False, begun=False)),
        (f"echo '{json.dumps(EVENT)}' > $log; exit 1", Update(succeeded=False, begun=True)),
        ("printf '{\"sequence\": 1' > $log; exit 1", Update(succeeded=False, begun=True)),
    ],
    ids=["nothing to do", "refused", "failed", "killed"],
)
def test_an_update_says_whether_it_has_begun(does: str, expected: Update, script: Script, engine: Engine) -> None:
    script(ARGUMENTS + does)
    assert engine.update("prod", "config: {}\n") == expected


def test_a_command_that_makes_no_sense_any_more_is_interrupted_and_waited_for(
    script: Script, engine: Engine, tmp_path: Path
) -> None:
    script(
        f"trap 'sleep 0.2; touch {tmp_path}/ended; exit 1' INT; touch {tmp_path}/started; while :; do sleep 0.05; done"
    )
    started = (tmp_path / "started").exists
    assert call(["pulumi"], tmp_path, engine.variables, stop=started, interval=0.05) != 0
    assert (tmp_path / "ended").exists(), "its lock and half an update would stay"


@pytest.mark.parametrize(
    "said",
    [
        "error: getting secrets manager: incorrect passphrase",
        "error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
    ],
)
def test_a_wrong_passphrase_names_where_it_comes_from(said: str, script: Script, engine: Engine) -> None:
    script(f"echo '{said}' >&2; exit 255")
    with pytest.raises(DeliveryError) as raised:
        engine.credentials("prod")
    assert str(raised.value) == (
        "the passphrase in /home/somebody/passphrase does not open the secrets of this stack; "
        "set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to the one they were made with"
    )


def test_a_failure_ends_with_the_engine_s_last_words(script: Script, engine: Engine) -> None:
    script("seq 1 20 >&2; exit 3")
    with pytest.raises(DeliveryError) as raised:
        engine.run("config", "get", "stellwerk:credentials", "--stack", "prod")
    first, *rest = str(raised.value).splitlines()
    assert first == "`pulumi config get stellwerk:credentials --stack` ended with 3:"
    assert rest == [str(number) for number in range(13, 21)]


def test_a_secret_is_given_by_standard_input_never_by_the_command_line(
    script: Script, engine: Engine, tmp_path: Path
) -> None:
    script(f'echo "$@" > {tmp_path}/arguments; cat')
    assert engine.run("config", "set", "key", "--secret", stdin="very-secret") == "very-secret"
    assert (tmp_path / "arguments").read_text() == "config set key --secret --non-interactive\n"


def test_the_engine_runs_where_the_project_is(script: Script, engine: Engine, project: Checkout) -> None:
    script("pwd")
    assert engine.run("about").strip() == str(project.root)


@pytest.mark.parametrize("ask", [Engine.run, Engine.show], ids=["run", "show"])
def test_without_pulumi_the_doctor_is_named(ask: Callable[..., object], project: Checkout, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="pulumi: not found; run `stellwerk doctor`"):
        ask(Engine(project.root, {"PATH": str(tmp_path)}), "stack", "ls")


def test_without_a_backend_the_variables_are_named(project: Checkout) -> None:
    with pytest.raises(DeliveryError, match="PULUMI_BACKEND_URL is not set, and this machine has no local cluster"):
        Engine(project.root, {}).stacks()


def test_what_the_user_sees_leaves_standard_output_alone(
    script: Script, engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    script('echo "$1: to standard output"; [ "$1" = up ]')
    assert engine.show("up", "--stack", "prod")
    assert not engine.show("preview", "--stack", "prod")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == "up: to standard output\npreview: to standard output\n"


def test_stacks_of_a_backend_that_is_not_there_yet(script: Script, engine: Engine, tmp_path: Path) -> None:
    script(f'[ -d {tmp_path}/state/backend ] && echo \'[{{"name": "dev"}}, {{"name": "prod"}}]\'')
    assert engine.stacks() == {"dev", "prod"}


def test_outputs_of_a_stack_that_was_never_made_or_applied_say_what_to_run(pulumi: FakeEngine) -> None:
    with pytest.raises(DeliveryError, match="there is no such stack yet; run `stellwerk init dev`, then `pulumi up"):
        pulumi.outputs("dev")
    pulumi.known.add("dev")
    pulumi.stack_outputs = {}
    with pytest.raises(DeliveryError, match="the stack has no outputs yet; run `pulumi up --stack dev`"):
        pulumi.outputs("dev")
    pulumi.stack_outputs = {"gateway": "https://gateway.test"}
    assert pulumi.outputs("dev") == pulumi.stack_outputs
