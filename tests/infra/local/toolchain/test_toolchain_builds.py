"""How Go is made to compile: flags, memory, what runs at the same time, and what a user sees of it."""

import io
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from rich.console import Console

from infra.local.toolchain.builder import ensure
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.gosettings import collector, flags
from infra.local.toolchain.manifest import Manifest, load
from infra.local.toolchain.progress import Progress
from tests.support.toolchain import MakeManifest, ReleaseServer, go_group


@pytest.mark.parametrize(
    ("available_gib", "jobs", "limit"),
    [(22, 2, "4096MiB"), (6, 2, "1152MiB"), (5, 2, None), (22, 16, None), (0, 2, None)],
)
def test_compilers_collect_no_garbage_where_there_is_memory(
    available_gib: int, jobs: int, limit: str | None, tmp_path: Path
) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available_gib << 20} kB\n")
    assert collector(jobs, {}, memory) == ({"GOGC": "off", "GOMEMLIMIT": limit} if limit else {})
    assert collector(jobs, {"GOGC": "50"}, memory) == {}
    assert collector(jobs, {}, tmp_path / "absent") == {}


def test_go_takes_the_flags(tmp_path: Path) -> None:
    """It would say so of a pattern or a flag of the compiler that it does not know."""
    for name, content in go_group("hello", "fine").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    command = ["go", "list", "-export", "-deps", *flags(2), "-f", "{{/* nothing */}}", "."]
    done = subprocess.run(command, cwd=tmp_path / "hello", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


_TWO = """
[[tool]]
name = "{name}"
version = "1.0"
go = {{ group = "{name}", package = "." }}
"""
# One step waits for what another leaves: where they do not run at the same time it fails after some minutes.
_GO = """#!/bin/sh
step="$(basename "$PWD") $*"
case "$step" in *"list -export"*) touch "{place}/$(basename "$PWD")" ;; esac
case "$step" in "{step}"*)
    tries=0
    while [ ! -e "{place}/{event}" ]; do
        tries=$((tries + 1))
        [ $tries -lt 3000 ] || {{ echo "{event}: nothing runs beside this" >&2; exit 1; }}
        sleep 0.1
    done ;;
esac
exec {go} "$@"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first folder of PATH."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return tools


def waiting_go(place: Path, step: str, event: str) -> None:
    """Have the step of a Go command wait for the file `event`."""
    (place / "go").write_text(_GO.format(place=place, step=step, event=event, go=shutil.which("go")))
    (place / "go").chmod(0o755)


def test_one_tool_is_linked_while_the_next_compiles(make_manifest: MakeManifest, place: Path) -> None:
    waiting_go(place, "first.group build", "second.group")
    modules = {**go_group("first", "1"), **go_group("second", "2")}
    manifest = make_manifest(_TWO.format(name="first") + _TWO.format(name="second"), modules)
    made = ensure(manifest, None, Console(quiet=True), 0).paths
    said = [subprocess.run([made[name]], capture_output=True, text=True, check=True) for name in ("first", "second")]
    assert [done.stdout + done.stderr for done in said] == ["1\n", "2\n"]


def test_a_source_that_fails_is_named_with_the_next_and_how_long_that_takes(
    releases: ReleaseServer, make_manifest: MakeManifest
) -> None:
    release = f'release = {{ url = "{releases.url}/gone", checksum = "{releases.url}/gone.sha256" }}\n'
    shown = io.StringIO()
    manifest = make_manifest(_TWO.format(name="hello") + release + "cold_seconds = 90\n", go_group("hello", "built"))
    ensure(manifest, None, Console(file=shown), 0)
    assert "404" in shown.getvalue()
    assert "; next: Go modules, about 1:30 min" in shown.getvalue()


def test_a_server_that_does_not_answer_is_named_with_what_is_compiled_instead(make_manifest: MakeManifest) -> None:
    shown = io.StringIO()
    tools = make_manifest(_TWO.format(name="hello") + "cold_seconds = 90\n", go_group("hello", "built")).tools
    Progress(Console(file=shown), tools[1:]).planned(["https://nobody.example.com"], tools[1:])
    assert shown.getvalue().startswith("no answer from https://nobody.example.com: ")
    assert "1 of 1 tools, about 1:30 min" in shown.getvalue()


def test_a_long_step_says_that_it_is_at_work_without_a_terminal() -> None:
    shown = _Shown()
    tool = load().tool("kube-apiserver")
    with Progress(Console(file=shown), [tool], beat_s=0.01) as progress:
        progress.start(tool, "Go modules")
        progress.note(tool.name, "compiling")
        assert shown.beat.wait(60), shown.getvalue()


class _Shown(io.StringIO):
    """What was printed; `beat` is set once kube-apiserver says at which step it is, and for how long."""

    def __init__(self) -> None:
        super().__init__()
        self.beat = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if re.search(r"at work: kube-apiserver \(compiling, \d+ s of about \d", self.getvalue()):
            self.beat.set()
        return written


def _node_and_engine(make_manifest: MakeManifest) -> Manifest:
    modules = {**go_group("node", "1"), **go_group("engine", "2")}
    return make_manifest(_TWO.format(name="node") + 'part = "cluster"\n' + _TWO.format(name="engine"), modules)


def test_the_node_starts_while_the_engine_compiles(make_manifest: MakeManifest, place: Path) -> None:
    waiting_go(place, "engine.group list", "started")
    ensure(_node_and_engine(make_manifest), None, Console(quiet=True), 0, (place / "started").touch)


def test_what_the_start_of_the_node_raises_is_raised_when_all_tools_are_there(make_manifest: MakeManifest) -> None:
    manifest = _node_and_engine(make_manifest)

    def start() -> None:
        raise ToolchainError("no port is free")

    with pytest.raises(ToolchainError, match="no port is free"):
        ensure(manifest, None, Console(quiet=True), 0, start)
    assert set(ensure(manifest, None, Console(quiet=True), 0).paths) == {"node", "engine"}
