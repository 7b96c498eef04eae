"""The steps of the workflows that need a cluster: what is merged is applied, what is trained is proposed.

The repository is a throw-away one with the project's files, and its remote a bare one; the forge is a local server.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from delivery.operations.workflows import setup
from delivery.project import Project as Files
from infra.contract.release import Releases
from tests.support.flows.given import SECRETS, expressions, of_bamboo, variables
from tests.support.flows.machine import Machine, git, remote
from tests.support.flows.steps import bamboo, bitbucket, github, gitlab
from tests.support.forges.server import serve
from tests.support.project import ENVIRONMENTS, MODEL, Project

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
TRAINER, FURTHER, *_ = ENVIRONMENTS
# A runner of the target's own builds with its builder, and writes where its nodes look.
_OF_THE_TARGET = ("DOCKER_CONFIG", "STELLWERK_BUILD_SECRETS", "STELLWERK_POD_LOGS", "STELLWERK_REGISTRY_CA")
_PODS = 41


@pytest.fixture
def bare(project: Project, tmp_path: Path) -> Path:
    """The remote: what the project has applied and released, merged."""
    root = tmp_path / "origin"
    git(tmp_path, "clone", "--quiet", str(project.root), str(root))
    for name, text in project.expected.items():
        (root / project.stack_file(name).relative_to(project.root)).write_text(text)
    for release in project.pointers(TRAINER):
        file = root / project.release_file(release).relative_to(project.root)
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project.release_file(release), file)
    return remote(root, tmp_path)


@pytest.fixture
def machine(project: Project, bare: Path, tmp_path: Path) -> Machine:
    """A runner that reaches the cluster and has its secrets; the workflows of each CI are merged."""
    made = Machine.of(tmp_path, bare)
    given = project.variables
    texts = (Path(given[name]).read_text().strip() for name in ("PULUMI_CONFIG_PASSPHRASE_FILE", "KUBECONFIG"))
    made.secrets |= zip(SECRETS, (given["PULUMI_BACKEND_URL"], *texts), strict=True)
    made.variables |= {name: given[name] for name in _OF_THE_TARGET}
    for kind in ("github", "gitlab", "bitbucket", "bamboo"):
        setup(Files(made.root), kind)
    git(made.root, "add", "--all")
    git(made.root, "commit", "--quiet", "--message", "Workflows")
    git(made.root, "push", "--quiet", "origin", "main")
    return made


def commit(machine: Machine, file: str, old: str, new: str) -> str:
    """Change a file of the clone; return the commit."""
    text = (machine.root / file).read_text()
    assert old in text
    (machine.root / file).write_text(text.replace(old, new, 1))
    git(machine.root, "commit", "--quiet", "--all", "--message", f"Change {file}")
    return git(machine.root, "rev-parse", "HEAD")


def more_pods(machine: Machine, environment: str) -> str:
    """Raise the quota of an environment by a commit; return it."""
    file, quota = f"stacks/Pulumi.{environment}.yaml", "  stellwerk:quota: {"
    if quota in (machine.root / file).read_text():
        return commit(machine, file, quota, f"{quota}pods: {_PODS}, ")
    return commit(machine, file, "  stellwerk:gateway:\n", f"{quota}pods: {_PODS}}}\n  stellwerk:gateway:\n")


def changes(done: CompletedProcess[str]) -> list[str]:
    """Return what the engine says that an update has done; a step that failed fails the test."""
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"\d+ unchanged", done.stdout), done.stdout[-3000:]
    return re.findall(r"\d+ (?:created|updated|deleted|replaced)", done.stdout)


@pytest.mark.lane("test")
def test_a_merge_is_applied_once_and_an_approval_is_of_its_own_commit(
    project: Project, machine: Machine, restored: Callable[[str], None]
) -> None:
    restored(FURTHER)

    def pods() -> str:
        return project.kubectl(
            "-n", f"{FURTHER}-serving", "get", "resourcequota/quota", "-o", "jsonpath={.spec.hard.pods}"
        )

    before, first = pods(), git(machine.root, "rev-parse", "HEAD")
    more_pods(machine, FURTHER)
    git(machine.root, "push", "--quiet", "origin", "main")
    [step] = github(machine.root, "stellwerk-apply", f"apply-{FURTHER}", expressions(machine))
    assert changes(machine.run(step, {})), "the merge was not applied"
    assert pods() == str(_PODS) != before
    [step] = gitlab(machine.root, f"stellwerk-apply-{FURTHER}")
    assert changes(machine.run(step, machine.secrets)) == []
    [step] = [each for each in bitbucket(machine.root, "branches", "main") if f"--stack {FURTHER} " in each.script]
    assert changes(machine.run(step, machine.secrets)) == []
    [step] = bamboo(machine.root, FURTHER)
    assert changes(machine.run(step, of_bamboo(machine, bamboo_planRepository_revision=first)))
    assert pods() == before
    git(machine.root, "checkout", "--quiet", "main")
    compare, _ = github(
        machine.root, "stellwerk-drift", "drift", expressions(machine, **{"matrix.environment": FURTHER})
    )
    with serve("github") as forge:
        done = machine.run(compare, variables(forge))
    assert (done.returncode, done.stdout) == (0, f"{FURTHER}: no drift\n"), done.stderr


def test_a_merged_model_is_trained_and_its_release_proposed(
    project: Project, machine: Machine, bare: Path, restored: Callable[[str], None]
) -> None:
    restored(TRAINER)
    known = project.pointers(TRAINER)
    before, file = git(machine.root, "rev-parse", "HEAD"), f"models/{MODEL}/model.yaml"
    merged = commit(machine, file, "epochs: {type: integer, default: 40,", "epochs: {type: integer, default: 5,")
    git(machine.root, "push", "--quiet", "origin", "main")
    matrix = {"matrix.model": MODEL, "matrix.environment": TRAINER, "github.event.before": before}
    table = expressions(machine, **matrix, **{"steps.changed.outputs.changed": "true"})
    [apply] = github(machine.root, "stellwerk-apply", f"apply-{TRAINER}", table)
    assert changes(machine.run(apply, {}))
    look, train = github(machine.root, "stellwerk-apply", "train", table)
    output = machine.root.parent / "output"
    assert machine.run(look, {"GITHUB_OUTPUT": str(output)}).returncode == 0
    assert output.read_text() == "changed=true\n"
    with serve("github", lambda branch: git(bare, "rev-parse", f"refs/heads/{branch}")) as forge:
        done = machine.run(train, variables(forge))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        [pull] = forge.state.pulls
    # The project's own checkout knows nothing of it; the branch has it, and nothing else.
    *_, newest = Releases(machine.root / "stacks" / "releases").ids(MODEL)
    assert newest not in known
    branch = f"stellwerk/promote-{MODEL}-{TRAINER}-{newest}"
    assert (pull.source, pull.target, pull.title) == (branch, "main", f"Promote {MODEL} to {newest} in {TRAINER}")
    assert f"{known[0]} → {newest}" in pull.body
    release = f"stacks/releases/{MODEL}/{newest}.yaml"
    paths = git(bare, "diff", "--name-only", "main", branch).splitlines()
    assert paths == [f"stacks/Pulumi.{TRAINER}.yaml", release]
    assert merged in git(bare, "show", f"{branch}:{release}")
    assert git(bare, "log", "-1", "--format=%an <%ae>", branch) == "stellwerk <stellwerk@localhost>"
    assert project.answers(TRAINER)


def test_a_fork_sees_its_change_alone_in_the_exported_state(
    project: Project, machine: Machine, bare: Path, tmp_path: Path
) -> None:
    """GitHub's own program is a script here: what it downloads is what the nightly run has exported."""
    _, export = github(
        machine.root, "stellwerk-drift", "drift", expressions(machine, **{"matrix.environment": TRAINER})
    )
    done = machine.run(export, {})
    assert done.returncode == 0, done.stderr
    exported = machine.root / "state" / f"{TRAINER}.json"
    (folder := tmp_path / "fork").mkdir()
    fork = Machine.of(folder, bare)
    fork.programs.mkdir()
    program = fork.programs / "gh"
    place = f"state/stellwerk-state-{TRAINER}"
    program.write_text(
        f'#!/bin/sh\ncase "$2" in list) echo 7 ;; download) mkdir -p {place} && cp {exported} {place} ;; esac\n'
    )
    program.chmod(0o755)
    base, head = git(fork.root, "rev-parse", "HEAD"), more_pods(fork, TRAINER)
    table = {"github.event.pull_request.base.sha": base, "github.event.pull_request.head.sha": head}
    fetch, look = github(fork.root, "stellwerk-preview", "fork", {**table, "github.token": "of a fork"})
    assert fork.run(fetch, {}).returncode == 0
    done = fork.run(look, {})
    assert done.returncode == 0, done.stderr
    text = (fork.root / "preview.md").read_text()
    assert f"`{TRAINER}` was compared with its state of commit" in text
    rows = [line for line in text.splitlines() if line.startswith("| **")]
    assert rows and all("`ResourceQuota quota in " in row and "spec.hard.pods" in row for row in rows), text
    given = project.pulumi("config", "get", "stellwerk:credentials", "--stack", TRAINER).stdout
    secrets = re.findall(r'"(?:password|secretKey|postgresPassword)": ?"([^"]{16,})"', given)
    assert len(secrets) >= 5
    assert not [secret for secret in secrets if secret in text + exported.read_text() + done.stderr]
