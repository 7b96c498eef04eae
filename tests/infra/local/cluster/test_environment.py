"""The variables of the local target: computed for any command, made only for whoever asks for the target."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.cluster.environment import ask_for, environment, variables
from infra.local.cluster.layout import Layout
from infra.local.toolchain import paths
from infra.targets import variables as names
from tests.support.tools import tool

# A cluster, a backend and a passphrase of the user's own.
OWN = {
    "KUBECONFIG": "/home/user/.kube/config",
    "PULUMI_BACKEND_URL": "s3://state",
    "PULUMI_CONFIG_PASSPHRASE_FILE": "/home/user/passphrase",
}


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    """A state directory and a checkout's link, neither of which exists."""
    return Layout(tmp_path / "state" / "stellwerk", tmp_path / "checkout" / ".toolchain")


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file and link below a folder: the time of its last change, and where a link leads."""
    return {
        str(path): (path.lstat().st_mtime_ns, os.readlink(path) if path.is_symlink() else "")
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("given", [{}, OWN, {"KUBECONFIG": "/home/user/.kube/config"}])
def test_a_command_makes_nothing_where_nobody_asked_for_the_local_target(
    given: dict[str, str], place: Layout, tmp_path: Path
) -> None:
    values = environment(given, place)
    assert list(tmp_path.iterdir()) == []
    assert not [name for name, value in values.items() if str(tmp_path) in value]
    assert not values.keys() & {names.PULUMI_HOME, names.PULUMI_BACKEND_URL, names.PULUMI_PASSPHRASE_FILE, names.WORK}


def test_a_command_for_another_cluster_leaves_an_existing_local_target_alone(place: Layout, tmp_path: Path) -> None:
    ask_for(place, {})
    place.passphrase.unlink()
    (place.pulumi_home / "plugins").rename(tmp_path / "plugins")
    before = tree(tmp_path)
    values = environment(OWN, place)
    assert tree(tmp_path) == before
    assert not [value for value in values.values() if str(place.root) in value]
    assert values[names.MANIFESTS] == str(place.tools / "manifests"), "the tools may serve any cluster"


def test_the_engine_keeps_no_files_that_it_writes_in_place(place: Layout) -> None:
    """With one of those `.attrs` left empty by a killed engine it refuses every command about the backend."""
    folder, _, options = variables(place, {})[names.PULUMI_BACKEND_URL].partition("?")
    assert (folder, options) == (f"file://{place.backend}", "metadata=skip")


def test_whoever_asks_gets_what_the_variables_name(place: Layout) -> None:
    values = ask_for(place, {})
    passphrase = Path(values[names.PULUMI_PASSPHRASE_FILE])
    assert passphrase.stat().st_mode & 0o777 == 0o600
    assert place.root.stat().st_mode & 0o777 == 0o700
    assert place.tools.is_symlink()
    plugins = [link.readlink().name for link in Path(values[names.PULUMI_HOME]).glob("plugins/*/*")]
    assert sorted(plugins) == ["pulumi-language-python", "pulumi-resource-docker-build", "pulumi-resource-kubernetes"]
    made = passphrase.read_text()
    assert ask_for(place, {}) == values
    assert passphrase.read_text() == made, "what it opens would be lost"


def test_tools_that_are_not_there_yet_replace_none(
    place: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another checkout, or another cache: an update that runs would lose its plugins."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    paths.bin_folder().mkdir(parents=True)
    ask_for(place, {})
    before = tree(place.root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    ask_for(place, {})
    assert tree(place.root) == before
    paths.bin_folder().mkdir(parents=True)
    ask_for(place, {})
    assert place.tools.readlink() == paths.view()
    assert all(link.readlink().parent == paths.bin_folder() for link in place.pulumi_home.glob("plugins/*/*"))


@pytest.mark.tools
def test_the_engine_keeps_no_log_of_its_own(place: Layout) -> None:
    """Half of its work in a preview: each value, written several times. Whoever wants it makes a folder."""
    command = [str(tool("pulumi")), "stack", "ls", "--all", "--json"]
    logs = place.pulumi_home / "logs"
    values = {**ask_for(place, {}), "HOME": str(place.root)}
    place.backend.mkdir()
    done = subprocess.run(command, env=values, cwd=place.root, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [] and done.stderr == ""
    assert logs.is_file()
    logs.unlink()
    logs.mkdir()
    assert ask_for(place, {}) | values == values
    subprocess.run(command, env=values, cwd=place.root, capture_output=True, check=True)
    assert list(logs.iterdir()), "the engine still knows this way to be without"


def test_a_command_on_the_local_target_follows_the_toolchain(place: Layout) -> None:
    ask_for(place, {})
    view = place.tools.readlink()
    place.tools.unlink()
    place.tools.symlink_to("/nowhere/older")
    values = environment({}, place)
    assert place.tools.readlink() == view
    assert values == variables(place, {})


def test_what_stellwerk_env_has_set_is_still_the_local_target(place: Layout) -> None:
    values = ask_for(place, {"PATH": "/usr/bin"})
    assert values | environment(values, place) == values


def test_what_the_user_has_set_wins(place: Layout) -> None:
    given = {name: f"/own/{name}" for name in (names.KUBECONFIG, names.PULUMI_HOME, names.MANIFESTS, names.POD_LOGS)}
    values = ask_for(place, {**given, names.PULUMI_PASSPHRASE: ""})
    assert given.items() <= values.items()
    assert names.PULUMI_PASSPHRASE_FILE not in values, "an empty passphrase is one, too"
    assert not place.passphrase.exists()
    assert "PULUMI_IGNORE_AMBIENT_PLUGINS" not in values
    assert not place.pulumi_home.exists()


def test_computing_the_variables_writes_nothing(place: Layout, tmp_path: Path) -> None:
    values = variables(place, {"PATH": "/usr/bin"})
    assert list(tmp_path.iterdir()) == []
    tools, python, rest = values["PATH"].split(os.pathsep)
    assert Path(tools).name == "bin" and Path(python) == Path(sys.prefix, "bin")
    assert rest == "/usr/bin"
    assert values[names.REGISTRY_CA] == str(place.registry_ca)


ENGINE = (names.PULUMI_SKIP_CHECKPOINTS, names.KUBERNETES_RATE, names.KUBERNETES_BURST)


def test_the_engine_skips_checkpoints_on_the_local_cluster_alone(place: Layout) -> None:
    """On another cluster it is not this project's to say that all that a killed update made can be taken over."""
    assert ask_for(place, {})[names.PULUMI_SKIP_CHECKPOINTS] == "true"
    for given in (OWN, {names.KUBECONFIG: "/home/user/.kube/config"}):
        assert not environment(given, place).keys() & set(ENGINE)


@pytest.mark.parametrize("name", [*ENGINE, names.PULUMI_PARALLEL, names.PULUMI_PARALLEL_DIFF])
def test_how_the_engine_behaves_is_the_users_to_say(name: str, place: Layout) -> None:
    assert ask_for(place, {name: "own"})[name] == "own"
    assert environment(OWN, place)[names.PULUMI_PARALLEL_DIFF] == "true"
    assert environment(OWN, place)[names.PULUMI_PARALLEL] == "64"
