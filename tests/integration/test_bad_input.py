"""Bad input on the real engine: one clear message, an exit code that is not 0, nothing half applied."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.project import MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.lane("test"), pytest.mark.timeout(3600)]
ENVIRONMENT = "test"


def refused(project: Project, *expected: str) -> None:
    """Fail unless an update ends at its preview with these words, without a traceback, and changes nothing."""
    state = project.engine_state(ENVIRONMENT)
    done = project.pulumi("up", "--stack", ENVIRONMENT, "--yes", ok=False)
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert not [text for text in expected if text not in output], output[-3000:]
    assert "Traceback" not in output
    assert project.engine_state(ENVIRONMENT) == state


def test_an_unknown_key(beside: Project) -> None:
    section = "  stellwerk:gateway:\n"
    beside.write(ENVIRONMENT, beside.expected[ENVIRONMENT].replace(section, f"  stellwerk:gatewy: {{}}\n{section}"))
    refused(beside, f"stacks/Pulumi.{ENVIRONMENT}.yaml:", "stellwerk:gatewy", "did you mean gateway?")


def test_an_unknown_release(beside: Project) -> None:
    release = beside.pointers(ENVIRONMENT)[0]
    text = beside.expected[ENVIRONMENT].replace(f"release: {release}", "release: v9-00000000")
    beside.write(ENVIRONMENT, text)
    refused(beside, "models.digits.release", "v9-00000000", "there is no such release", release)


def test_a_release_without_digest(beside: Project) -> None:
    release = beside.pointers(ENVIRONMENT)[0]
    file = beside.release_file(release)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if not line.strip().startswith("digest: sha256:")))
    refused(beside, f"stacks/releases/{MODEL}/{release}.yaml", "artefact.digest")


def test_a_wrong_passphrase(project: Project) -> None:
    # No promotion: that asks dev first, whose service another lane takes away for a while.
    done = project.stellwerk(
        "rollback", MODEL, "--env", ENVIRONMENT, "--yes", ok=False, PULUMI_CONFIG_PASSPHRASE="wrong"
    )
    assert done.returncode == 1
    assert "passphrase" in done.stderr
    assert "Traceback" not in done.stderr
    preview = project.pulumi("preview", "--stack", "test", ok=False, PULUMI_CONFIG_PASSPHRASE="wrong")
    assert preview.returncode != 0
    assert "incorrect passphrase" in preview.stdout + preview.stderr


def test_an_unreachable_cluster(project: Project, tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text((project.state / "kubeconfig").read_text().replace(":6443", ":6444"))
    done = project.stellwerk("train", MODEL, "--param", "epochs=2", ok=False, KUBECONFIG=str(nowhere))
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr
    before = project.stack_file("test").read_text()
    moved = project.stellwerk("rollback", MODEL, "--env", "test", "--yes", ok=False, KUBECONFIG=str(nowhere))
    assert moved.returncode == 1
    assert project.stack_file("test").read_text() == before


def test_a_model_that_is_not_there(project: Project) -> None:
    for arguments in (("predict", "letters", "--env", "test"), ("promote", "letters", "--to", "test", "--yes")):
        done = project.stellwerk(*arguments, ok=False)
        assert done.returncode == 1
        assert "stacks/Pulumi.test.yaml" in done.stderr
        assert "digits" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("train", MODEL, "--param", "epoch=3"), ("train", MODEL, "--param", "epochs=many")]
)
def test_a_parameter_that_is_not_known(project: Project, arguments: tuple[str, ...]) -> None:
    done = project.stellwerk(*arguments, ok=False)
    assert done.returncode == 1
    assert "epochs" in done.stderr
    assert "Traceback" not in done.stderr


def start(project: Project, state: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """`stellwerk cluster up` with a state directory of its own, which is to be refused."""
    done = project.stellwerk("cluster", "up", ok=False, STELLWERK_STATE=str(state), **extra)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_a_port_that_is_taken(project: Project, tmp_path: Path) -> None:
    port = project.values("prod")["stellwerk:gateway"]["nodePort"]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", port))
        other.listen()
        done = start(project, tmp_path / "state")
    assert str(port) in done.stderr
    assert "prod gateway" in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_full_disk(project: Project, small_disk: Path) -> None:
    done = start(project, small_disk / "state")
    assert "disk" in done.stderr
    assert "STELLWERK_STATE" in done.stderr
    assert not (small_disk / "state").exists()


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file system of 64 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], check=True)
    request.addfinalizer(lambda: subprocess.run(["umount", place], check=True))
    return place


def test_no_root(project: Project) -> None:
    script = (
        "import os\n"
        "from pathlib import Path\n"
        "from infra.local.cluster.layout import Layout\n"
        "from infra.local.cluster.preflight import check\n"
        "from infra.targets.needs import Needs\n"
        "os.setuid(65534)\n"
        "check(Layout(Path('/nowhere/state')), Needs())"
    )
    done = project.run(project.python, "-c", script, HOME="/", XDG_CACHE_HOME="/nowhere")
    assert done.returncode != 0
    assert "need root" in done.stderr


def test_a_second_cluster_is_refused_and_taking_it_down_leaves_the_first_one_alone(
    project: Project, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    assert "another local cluster runs on this machine" in start(project, state).stderr
    state.mkdir()
    project.stellwerk("cluster", "down", STELLWERK_STATE=str(state))
    assert project.answers("test")


def test_a_failed_preview_leaves_the_pointer(beside: Project) -> None:
    section = "  stellwerk:gateway:\n"
    changed = beside.expected[ENVIRONMENT].replace(section, f"  stellwerk:team: No Team\n{section}")
    beside.write(ENVIRONMENT, changed)
    done = beside.stellwerk("rollback", MODEL, "--env", ENVIRONMENT, "--yes", ok=False)
    assert done.returncode == 1
    assert "stellwerk:team" in done.stderr
    assert beside.stack_file(ENVIRONMENT).read_text() == changed
