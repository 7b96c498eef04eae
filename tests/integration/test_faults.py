"""What is killed comes back: parts of the cluster, and the engine in the middle of a promotion."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.conftest import ENVIRONMENTS, MODEL, Project, kill_group

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
PARTS = ("etcd", "containerd", "kube-apiserver", "kubelet", "kube-proxy", "coredns", "kube-scheduler")


def parts(project: Project) -> dict[str, int]:
    """Process ids by part."""
    report = project.ask("cluster", "status")
    return {name: info["pid"] for name, info in report["processes"].items()}


def eventually(what: str, seconds: float, check: object) -> None:
    """Polls until `check` is true; says what was not reached."""
    deadline = time.monotonic() + seconds
    assert callable(check)
    while not check():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(1)


def well(project: Project) -> bool:
    return project.stellwerk("cluster", "status", "--json", ok=False).returncode == 0


def tracking(project: Project) -> bool:
    return project.stellwerk("runs", MODEL, "--json", ok=False).returncode == 0


def test_killed_parts_of_the_cluster_come_back(project: Project) -> None:
    before = parts(project)
    for name in PARTS:
        os.kill(before[name], signal.SIGKILL)
    eventually("all parts run again", 120, lambda: well(project))
    assert all(parts(project)[name] != before[name] for name in PARTS)
    eventually("prod answers", 120, lambda: project.pointers("prod")["ready"])
    answer = project.ask("predict", MODEL, "--env", "prod", "--rows", "5")
    assert answer["rows"] == 5


def test_a_killed_supervisor_leaves_nothing_that_collides(project: Project) -> None:
    supervisor = int((project.state / "run/supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    project.stellwerk("cluster", "up")
    eventually("all parts run again", 120, lambda: well(project))
    eventually("prod answers", 180, lambda: project.pointers("prod")["ready"])
    # The database's container was killed in the middle of its work.
    eventually("the tracking server answers", 180, lambda: tracking(project))


@pytest.mark.parametrize("after", [0.5, 4.0])
def test_a_promotion_that_is_killed_completes_when_run_again(project: Project, after: float) -> None:
    """kill -9 on the command and the engine; the same command again needs no manual step."""
    there = project.pointers("prod")
    command = [str(project.root / ".venv/bin/stellwerk"), "promote", MODEL, "--to", "prod", "--yes"]
    if there["release"] == project.pointers("test")["release"]:
        command = [command[0], "rollback", MODEL, "--env", "prod", "--yes"]
    wanted = there["previous"]
    environment = {**project.base, **project.environment}
    process = subprocess.Popen(
        command, cwd=project.root, env=environment, start_new_session=True, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while f"\n      release: {wanted}" not in project.stack_file("prod").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(after)
    kill_group(process)
    again = ["promote", MODEL, "--to", "prod", "--from", "test", "--release", wanted, "--yes"]
    project.stellwerk(*again)
    assert project.pointers("prod")["release"] == wanted
    assert project.pointers("prod")["ready"]
    project.pulumi("preview", "--stack", "prod", "--expect-no-changes")
    put_back(project, there["release"])


def put_back(project: Project, release: str) -> None:
    if project.pointers("prod")["release"] != release:
        project.stellwerk("rollback", MODEL, "--env", "prod", "--yes")


def test_an_interrupted_preview_says_so_and_no_more(project: Project) -> None:
    """Ctrl-C while resources are compared; the terminal sends it to the engine and the program alike.

    How the engine ends depends on the moment: "preview canceled", or the error of a provider that was asked just then.
    """
    process = subprocess.Popen(
        ["pulumi", "preview", "--stack", "dev", "--non-interactive", "--show-sames"],
        cwd=project.root, env={**project.base, **project.environment}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "stellwerk:index:" in line:
            os.killpg(process.pid, signal.SIGINT)
            break
    said += process.stdout.read()
    assert process.wait() != 0, said
    assert "^C received" in said
    assert "Traceback" not in said
    project.pulumi("preview", "--stack", "dev", "--expect-no-changes")


def test_a_demo_that_is_killed_completes_when_run_again_and_changes_nothing(project: Project) -> None:
    """Nothing has changed since the first run: neither the killed run nor the one after it changes anything."""
    before = {name: resources(project, name) for name in ENVIRONMENTS}
    process = subprocess.Popen(
        ["make", "demo"], cwd=project.root, env=project.base, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "pulumi up --stack test" in line:
            break
    time.sleep(1)
    kill_group(process)
    again = project.run("make", "demo", timeout=900)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert "nothing to promote" in again.stdout
    assert not re.search(r"^ *[-+~]+ *\d+ (created|updated|replaced|deleted)", again.stdout, re.MULTILINE)
    assert {name: resources(project, name) for name in ENVIRONMENTS} == before


def resources(project: Project, environment: str) -> dict[str, str | None]:
    """Id by URN of every resource; their order in the state is the order of the last update."""
    document = json.loads(project.pulumi("stack", "export", "--stack", environment).stdout)
    return {resource["urn"]: resource.get("id") for resource in document["deployment"]["resources"]}


def test_the_log_shipper_goes_on_where_it_was(project: Project) -> None:
    """A new shipper pod neither loses nor repeats lines."""
    first = project.ask("predict", MODEL, "--env", "prod", "--rows", "1")["request_ids"][0]
    assert len(project.ask("logs", "--request-id", first, "--wait")["hits"]) == 1
    (pod,) = project.objects("pods", "-n", "dev-logging", "-l", "app=log-shipper")
    project.kubectl("-n", "dev-logging", "delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    second = project.ask("predict", MODEL, "--env", "prod", "--rows", "1")["request_ids"][0]
    assert len(project.ask("logs", "--request-id", second, "--wait")["hits"]) == 1
    assert len(project.ask("logs", "--request-id", first)["hits"]) == 1


def test_what_the_store_holds_is_whole(project: Project) -> None:
    """Nothing half made is ever taken for a tool."""
    view = Path(project.environment["PATH"].split(os.pathsep)[0])
    broken = [tool.name for tool in view.iterdir() if not tool.resolve().is_file() or tool.stat().st_size == 0]
    assert broken == []
