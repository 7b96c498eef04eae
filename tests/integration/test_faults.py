"""What is killed comes back: parts of the cluster, and the engine in the middle of a promotion."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from infra.local.cluster.layout import Layout
from tests.support.images import endless_build
from tests.support.project import ENVIRONMENTS, MODEL, Project, eventually, kill_group, read_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
PARTS = ("etcd", "containerd", "kube-apiserver", "kubelet", "kube-proxy", "coredns", "kube-scheduler")


def parts(project: Project) -> dict[str, int]:
    """Return process ids by part."""
    report = project.ask("cluster", "status")
    return {name: info["pid"] for name, info in report["processes"].items()}


def healthy(project: Project) -> bool:
    return project.stellwerk("cluster", "status", "--json", ok=False).returncode == 0


@pytest.mark.lane("alone")
def test_killed_parts_of_the_cluster_come_back(project: Project) -> None:
    before = parts(project)
    for name in PARTS:
        os.kill(before[name], signal.SIGKILL)
    eventually("all parts run again", 300, lambda: healthy(project))
    after = parts(project)
    assert all(after[name] != before[name] for name in PARTS)
    recovered(project)
    answer = project.ask("predict", MODEL, "--env", "prod", "--rows", "5")
    assert answer["rows"] == 5


@pytest.mark.lane("alone")
def test_a_killed_supervisor_leaves_nothing_that_collides(project: Project, tmp_path: Path) -> None:
    supervisor = int((project.state / "run/supervisord.pid").read_text())
    socket = Layout(project.state).buildkit_socket
    with endless_build(project.root / ".toolchain/bin", socket, tmp_path / "endless-build") as step:
        eventually("the build runs", 300, lambda: running(step))
        os.kill(supervisor, signal.SIGKILL)
        project.stellwerk("cluster", "up")
        assert not running(step), "a step of a build outlives its builder"
    eventually("all parts run again", 300, lambda: healthy(project))
    recovered(project)
    # The database's container was killed in the middle of its work.
    eventually("the tracking server answers", 300, project.tracking_answers)


def recovered(project: Project) -> None:
    """Wait until every model answers and every pod is ready: the next test compares what runs."""
    for name in ENVIRONMENTS:
        eventually(f"{name} answers", 300, lambda name=name: project.answers(name))
    eventually("every pod is ready", 300, lambda: all(map(is_ready, project.pods("-A"))))


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod is ready, or has ended."""
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return pod["status"]["phase"] in ("Succeeded", "Failed") or conditions.get("Ready") == "True"


def running(command: str) -> bool:
    return subprocess.run(["pgrep", "-f", command], capture_output=True, check=False).returncode == 0


@pytest.mark.lane("prod")
def test_a_promotion_and_a_rollback_that_are_killed_complete_when_run_again(project: Project) -> None:
    """kill -9 on the command and the engine, early and late; the same move again needs no manual step."""
    release, previous = project.pointers("prod")
    move_killed(project, 0.5, previous, "promote", MODEL, "--to", "prod", "--release", previous, "--yes")
    move_killed(project, 4.0, release, "rollback", MODEL, "--env", "prod", "--yes")
    assert project.stack_file("prod").read_text() == project.expected["prod"]


def move_killed(project: Project, seconds: float, release: str, *command: str) -> None:
    """Kill a move of prod's pointer `seconds` after the file has it, then complete it."""
    # Its output is taken by pytest, which shows it where the test fails.
    process = project.start(project.command, *command, stdout=None, stderr=None)
    line, file = f"\n      release: {release}", project.stack_file("prod")

    def points() -> bool:
        ended = process.poll() is not None
        pointed = line in file.read_text()
        assert pointed or not ended, f"{' '.join(command)} has ended with {process.returncode}: see its output"
        return pointed

    eventually("the file points at it", 300, points, interval=0.05)
    time.sleep(seconds)
    kill_group(process)
    project.stellwerk("promote", MODEL, "--to", "prod", "--from", "test", "--release", release, "--yes")
    assert project.pointers("prod")[0] == release
    assert project.answers("prod")
    project.assert_no_changes("prod")


@pytest.mark.lane("test")
def test_an_interrupted_preview_says_so_and_no_more(project: Project) -> None:
    """Ctrl-C while resources are compared; the terminal sends it to the engine and the program alike.

    How the engine ends depends on the moment: "preview canceled", or the error of a provider that was asked just then.
    """
    process = project.start("pulumi", "preview", "--stack", "test", "--non-interactive", "--show-sames")
    output = read_until(process, lambda text: "stellwerk:index:" in text, seconds=300)
    os.killpg(process.pid, signal.SIGINT)
    output += process.communicate(timeout=300)[0]
    assert process.returncode != 0, output
    assert "^C received" in output
    assert "Traceback" not in output
    project.assert_no_changes("test")


@pytest.mark.lane("alone")
def test_a_demo_that_is_killed_completes_when_run_again_and_changes_nothing(project: Project) -> None:
    """Nothing has changed since the first run: neither the killed run nor the one after it changes anything."""
    before = {name: resources(project, name) for name in ENVIRONMENTS}
    process = project.start("make", "demo", f"MODELS={MODEL}", env=project.shell)
    read_until(process, lambda text: "pulumi up --stack test" in text, seconds=300)
    time.sleep(1)
    kill_group(process)
    again = project.run("make", "demo", f"MODELS={MODEL}", timeout=1800)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert "nothing to promote" in again.stdout
    assert not re.search(r"^ *[-+~]+ *\d+ (created|updated|replaced|deleted)", again.stdout, re.MULTILINE)
    assert {name: resources(project, name) for name in ENVIRONMENTS} == before


def resources(project: Project, environment: str) -> dict[str, str | None]:
    """Return id by URN of every resource; their order in the state is the order of the last update."""
    checkpoint = json.loads(project.engine_state(environment))["checkpoint"]
    return {resource["urn"]: resource.get("id") for resource in checkpoint["latest"]["resources"]}


@pytest.mark.lane("test")
def test_the_log_shipper_goes_on_where_it_was(project: Project) -> None:
    """A new shipper pod neither loses nor repeats lines."""
    first = project.ask("predict", MODEL, "--env", "test", "--rows", "1")["request_ids"][0]
    assert len(project.ask("logs", "--request-id", first, "--wait")["hits"]) == 1
    (pod,) = project.objects("pods", "-n", "dev-logging", "-l", "app=log-shipper")
    project.kubectl("-n", "dev-logging", "delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    second = project.ask("predict", MODEL, "--env", "test", "--rows", "1")["request_ids"][0]
    assert len(project.ask("logs", "--request-id", second, "--wait")["hits"]) == 1
    assert len(project.ask("logs", "--request-id", first)["hits"]) == 1


@pytest.mark.lane("test")
def test_what_the_store_holds_is_whole(project: Project) -> None:
    """Nothing half made is ever taken for a tool."""
    view = Path(project.variables["PATH"].split(os.pathsep)[0])
    broken = [tool.name for tool in view.iterdir() if not tool.resolve().is_file() or tool.stat().st_size == 0]
    assert broken == []
