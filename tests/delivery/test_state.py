"""States that are broken are seen, put right or replaced, by the real engine; no cluster is asked."""

import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from delivery.clients.backend import Backend
from delivery.clients.engine import Engine
from delivery.clients.snapshots import Snapshots
from delivery.commands.app import main
from delivery.errors import DeliveryError
from delivery.operations import integrity, states
from delivery.session import Session
from tests.support.checkout import Checkout
from tests.support.session import Command, FakeCluster, FakeSession, Words
from tests.support.tools import tool

pytestmark = pytest.mark.tools
URN = "urn:pulumi:prod::stellwerk::"
STACK = f"{URN}pulumi:pulumi:Stack::stellwerk-prod"
COMPONENT = "stellwerk:index:Tenant"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"very secret"'}


def component(name: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"{URN}{COMPONENT}::{name}", "type": COMPONENT, "parent": STACK, "custom": False, **more}


WHOLE = [
    {"urn": STACK, "type": "pulumi:pulumi:Stack", "custom": False, "outputs": {"word": SECRET}},
    component("one"),
    component("two", dependencies=[f"{URN}{COMPONENT}::one"]),
]
DANGLING = [WHOLE[0], component("two", dependencies=[f"{URN}{COMPONENT}::one"])]
PENDING = [{"type": "creating", "resource": component("three")}]


def engine_of(root: Path, variables: dict[str, str]) -> Engine:
    pulumi = tool("pulumi")
    own = {
        "PATH": f"{pulumi.parent}:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/"),
        "PULUMI_CONFIG_PASSPHRASE": "word", "PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_HOME": str(root / "home"),
    }  # fmt: skip
    return Engine(root, {**variables, **own})


@dataclass(frozen=True)
class Made:
    """A project and a backend with a stack that was never applied, and what the engine makes of the state WHOLE."""

    root: Path
    backend: Path
    whole: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root, backend = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("backend")
    (root / "Pulumi.yaml").write_text("name: stellwerk\nruntime: python\nstackConfigDir: config\n")
    first = engine_of(root, {"PULUMI_BACKEND_URL": f"file://{backend}", "STELLWERK_WORK": str(root / "work")})
    first.stacks()
    first.run("stack", "init", "prod")
    shutil.copytree(backend, never := tmp_path_factory.mktemp("never-applied"), dirs_exist_ok=True)
    exported = json.loads(first.run("stack", "export", "--stack", "prod"))
    exported["deployment"]["resources"] = WHOLE
    first.run("stack", "import", "--stack", "prod", stdin=json.dumps(exported))
    return Made(root, never, file_of(first).read_text())


@pytest.fixture
def engine(project: Checkout, target_variables: dict[str, str], made: Made) -> Engine:
    """The real one, with a stack `prod` that was never applied."""
    shutil.copytree(made.root, project.root, dirs_exist_ok=True)
    copied = engine_of(project.root, target_variables)
    assert copied.backend_folder is not None
    shutil.copytree(made.backend, copied.backend_folder)
    return copied


@pytest.fixture
def work(project: Checkout, engine: Engine) -> Session:
    return FakeSession(project.project(), engine, Backend(engine), FakeCluster())


@pytest.fixture
def stellwerk(work: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process; its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments, lambda: work, tmp_path / "state")
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return run


Write = Callable[..., None]


@pytest.fixture
def write(engine: Engine, made: Made) -> Write:
    """Gives the stack a state: as the engine encrypts and keeps it, then as it is said, past its checks."""

    def put(resources: list[dict[str, Any]], pending: Any = ()) -> None:
        document = json.loads(made.whole)
        encrypted = document["checkpoint"]["latest"]["resources"][0]
        latest = [encrypted, *resources[1:]] if resources else []
        document["checkpoint"]["latest"] |= {"resources": latest, "pending_operations": list(pending)}
        file_of(engine).write_text(json.dumps(document))

    return put


def file_of(engine: Engine) -> Path:
    file = Snapshots(engine, "prod").file
    assert file is not None
    return file


def kinds(work: Session) -> list[str]:
    return [finding.kind for finding in integrity.check(work, "prod").findings]


def test_a_whole_state_is_well(write: Write, stellwerk: Command) -> None:
    write(WHOLE)
    code, out, _ = stellwerk("state", "check")
    assert (code, out.partition(" backups")[0]) == (0, "prod: well, 3 resources, 0")


@pytest.mark.parametrize(
    ("resources", "pending", "expected"),
    [
        (DANGLING, (), "dangling"),
        ([WHOLE[0], WHOLE[2], WHOLE[1]], (), "dangling"),
        ([WHOLE[0], component("two", parent=f"{URN}{COMPONENT}::one")], (), "dangling"),
        ([WHOLE[0], component("two", provider=f"{URN}pulumi:providers:kubernetes::cluster::id")], (), "dangling"),
        ([*WHOLE, component("one")], (), "duplicate"),
        (WHOLE, PENDING, "pending"),
    ],
    ids=["dependency", "order", "parent", "provider", "twice", "pending"],
)
def test_what_is_wrong_is_named_with_what_puts_it_right(
    resources: list[dict[str, Any]], pending: Any, expected: str, write: Write, work: Session, stellwerk: Command
) -> None:
    write(resources, pending)
    assert kinds(work) == [expected]
    code, out, _ = stellwerk("state", "check", "--json")
    (finding,) = json.loads(out)["environments"]["prod"]["findings"]
    assert code == 2 and "stellwerk state re" in finding["action"]


def test_what_a_running_update_has_under_way_is_not_wrong(write: Write, engine: Engine, stellwerk: Command) -> None:
    write(WHOLE, PENDING)
    assert engine.backend_folder is not None
    lock = engine.backend_folder / ".pulumi/locks/organization/stellwerk/prod/x.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    (lock.parents[5] / "pulumi").symlink_to("/bin/sleep")
    running = subprocess.Popen([lock.parents[5] / "pulumi", "60"])
    lock.write_text(json.dumps({"pid": running.pid, "hostname": os.uname().nodename, "username": "somebody"}))
    code, out, _ = stellwerk("state", "check")
    running.kill()
    running.wait()
    assert code == 0 and f"prod: an update runs (somebody@{os.uname().nodename}, process {running.pid}" in out
    code, out, _ = stellwerk("state", "check")
    assert code == 2 and "prod: lock: of a killed update" in out and "prod: pending: creating" in out


@pytest.mark.parametrize(("resources", "pending"), [(DANGLING, ()), (WHOLE, PENDING)], ids=["dangling", "pending"])
def test_a_repair_puts_it_right_and_keeps_the_state_as_it_was(
    resources: list[dict[str, Any]], pending: Any, write: Write, work: Session, engine: Engine, stellwerk: Command
) -> None:
    write(resources, pending)
    before = file_of(engine).read_bytes()
    code, _, err = stellwerk("state", "repair", "--env", "prod", "--yes")
    assert code == 0, err
    assert kinds(work) == []
    assert before in [backup.file.read_bytes() for backup in Snapshots(engine, "prod").backups()]


def test_a_repair_asks_and_does_not_guess(write: Write, work: Session, engine: Engine, words: Words) -> None:
    write(DANGLING)
    before = file_of(engine).read_bytes()
    with pytest.raises(DeliveryError, match="nothing was changed"):
        states.repair(work, "prod", lambda: False, words.console)
    assert file_of(engine).read_bytes() == before
    write([*WHOLE, component("one")])
    with pytest.raises(DeliveryError, match=r"which one of two resources .* state restore --env prod"):
        states.repair(work, "prod", lambda: True, words.console)


def test_a_state_is_restored_with_its_secrets_encrypted(write: Write, engine: Engine, stellwerk: Command) -> None:
    write(WHOLE)
    kept = Snapshots(engine, "prod").keep()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    write(DANGLING)
    code, _, err = stellwerk("state", "restore", "--env", "prod", "--yes")
    assert code == 0, err
    assert f"+ {URN}{COMPONENT}::one" in err
    exported = engine.run("stack", "export", "--stack", "prod")
    assert [item["urn"] for item in json.loads(exported)["deployment"]["resources"]] == [item["urn"] for item in WHOLE]
    texts = [file.read_text() for file in (kept, file_of(engine))]
    assert all("ciphertext" in text and "very secret" not in text for text in texts)
    assert engine.locks("prod").interrupted, "the next update would trust a state that is an old one"


@pytest.mark.parametrize("text", ["", '{"version": 3, "checkpoint"', "[]"])
def test_a_state_that_is_not_readable_is_restored(
    text: str, write: Write, work: Session, engine: Engine, stellwerk: Command
) -> None:
    """A full disk, an editor: the engine itself then refuses every command about any stack of the backend."""
    write(WHOLE)
    Snapshots(engine, "prod").keep()
    file_of(engine).write_text(text)
    assert kinds(work) == ["not readable"]
    code, _, err = stellwerk("state", "repair", "--env", "prod", "--yes")
    assert code == 1 and "Traceback" not in err
    code, _, err = stellwerk("state", "restore", "--env", "prod", "--yes")
    assert code == 0, err
    assert kinds(work) == ["interrupted"]
    assert [len(engine.resources("prod").steps), engine.stacks()] == [3, {"prod"}]


def test_a_backup_is_chosen_by_its_time(write: Write, engine: Engine, stellwerk: Command) -> None:
    snapshots = Snapshots(engine, "prod")
    write(WHOLE)
    first = snapshots.keep()
    time.sleep(0.01)
    write(WHOLE[:1])
    second = snapshots.keep()
    moments = {backup.file: backup.moment for backup in snapshots.backups()}
    assert states.choose(snapshots, None).file == first, "the newest is the state of now"
    assert states.choose(snapshots, moments[second]).file == second
    assert states.choose(snapshots, moments[first]).file == first
    with pytest.raises(DeliveryError, match="no backup of its state from that time or before"):
        states.choose(snapshots, moments[first] - 1)
    code, out, _ = stellwerk("state", "restore", "--env", "prod", "--list")
    assert code == 0 and out.count("│ 20") == 2


def test_a_restore_refuses_while_somebody_may_change_the_environment(
    write: Write, work: Session, engine: Engine, words: Words
) -> None:
    write(WHOLE)
    Snapshots(engine, "prod").keep()
    write(WHOLE[:1])
    lock = Path(engine.backend_url.removeprefix("file://"), ".pulumi/locks/organization/stellwerk/prod/x.json")
    backup = states.choose(Snapshots(engine, "prod"), None)

    def answered() -> bool:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text('{"pid": 1, "hostname": "another-machine", "username": "somebody"}')
        return True

    before = file_of(engine).read_bytes()
    with pytest.raises(DeliveryError, match=r"an update on another machine holds the lock .somebody@another-machine"):
        states.restore(work, "prod", backup, answered, words.console)
    assert file_of(engine).read_bytes() == before
    lock.unlink()

    def meanwhile() -> bool:
        write(DANGLING)
        return True

    with pytest.raises(DeliveryError, match="the environment changed"):
        states.restore(work, "prod", backup, meanwhile, words.console)


def test_the_last_twenty_are_kept(write: Write, engine: Engine) -> None:
    write(WHOLE)
    files = [Snapshots(engine, "prod").keep() for _ in range(23)]
    assert sorted(file for file in files if file.exists()) == sorted(files[3:])
