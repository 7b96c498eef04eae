"""The steps of the workflows, run as their CI runs them: real processes, a real engine, a forge that is a local server.

There is no cluster but an API server without objects. So what is proved of a step that trains or applies is the way up
to the first object that it needs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from delivery.operations.workflows import setup
from delivery.project import Project
from tests.delivery.flows.empty_cluster import api_server
from tests.support.flows.given import SECRETS, expressions, of_bamboo, variables
from tests.support.flows.machine import Machine, git, remote
from tests.support.flows.steps import Step, bamboo, bitbucket, github, gitlab
from tests.support.forges.server import TOKEN, ForgeServer, serve
from tests.support.forges.state import REPOSITORY, Pull
from tests.support.project import copy_checkout
from tests.support.tools import tool

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]
PASSPHRASE = "canary-passphrase-of-the-runner"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A runner whose backend knows each environment, never applied; `more-pods` is a change of one of them."""
    for name in ("pulumi", "pulumi-language-python", "kubectl"):
        tool(name)
    folder = tmp_path_factory.mktemp("runner")
    root = folder / "origin"
    copy_checkout(root)
    # Two are as good as three, and each takes its time.
    (root / "stacks" / "Pulumi.prod.yaml").unlink()
    made = Machine.of(folder, remote(root, folder))
    with api_server() as kubeconfig:
        (folder / "backend").mkdir()
        made.secrets |= zip(SECRETS, (f"file://{folder}/backend", PASSPHRASE, kubeconfig), strict=True)
        names = " ".join(Project(made.root).environments)
        stacks = f"for name in {names}; do pulumi stack init $name --no-select; done"
        assert made.run(Step(f"infra/local/runner sh -c '{stacks}'", ("sh",), {}), made.secrets).returncode == 0
        for kind in ("github", "gitlab", "bitbucket", "bamboo"):
            assert {each.change for each in setup(Project(made.root), kind)} == {"written"}
        git(made.root, "add", "--all")
        git(made.root, "commit", "--quiet", "--message", "Stacks and workflows")
        git(made.root, "push", "--quiet", "origin", "main")
        git(made.root, "checkout", "--quiet", "-b", "more-pods")
        file = made.root / "stacks" / "Pulumi.test.yaml"
        file.write_text(
            file.read_text().replace("  stellwerk:environment", "  stellwerk:team: null\n  stellwerk:environment")
        )
        git(made.root, "commit", "--quiet", "--all", "--message", "test: nobody's")
        git(made.root, "push", "--quiet", "origin", "more-pods")
        yield made


@pytest.fixture
def forge() -> Iterator[ForgeServer]:
    with serve("github") as server:
        yield server


def test_githubs_drift_job_closes_the_issue(machine: Machine, forge: ForgeServer) -> None:
    forge.state.add_issue("dev: 1 resource differs", "<!-- stellwerk: drift-dev -->\n\nwhat", ("stellwerk",))
    table = expressions(machine, **{"matrix.environment": "dev"})
    compare, export = github(machine.root, "stellwerk-drift", "drift", table)
    done = machine.run(compare, variables(forge))
    assert (done.returncode, done.stdout) == (0, "dev: no drift\n"), done.stderr
    assert forge.state.issues[0].state == "closed"
    done = machine.run(export, {})
    assert done.returncode == 1 and "credentials" in done.stderr, "without credentials nobody can take them out"


def test_the_drift_jobs_of_the_others_compare(machine: Machine) -> None:
    [step] = gitlab(machine.root, "stellwerk-drift-dev")
    assert machine.run(step, machine.secrets).stdout.startswith("dev: no drift\n")
    [step] = bitbucket(machine.root, "custom", "stellwerk-drift")
    done = machine.run(step, machine.secrets)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["dev: no drift", "test: no drift"])
    [step] = bamboo(machine.root, "Drift of dev")
    done = machine.run(step, of_bamboo(machine))
    assert (done.returncode, done.stdout) == (0, "dev: no drift\n"), done.stderr


def stops_at_the_template(done: CompletedProcess[str]) -> None:
    """A cluster without objects has no template of a training Job; nothing after it is begun."""
    assert done.returncode == 1
    assert "there is no template train-digits; run `pulumi up --stack dev`" in done.stderr
    assert done.stderr.count("the Python environment is there") == 1


def login(machine: Machine, **given: str) -> str:
    """What git learns where it asks for a login, as it does for a push."""
    asked = Step("printf 'protocol=https\\nhost=git.example.com\\n\\n' | git credential fill", ("sh",), {})
    return machine.run(asked, {**given, "GIT_TERMINAL_PROMPT": "0"}).stdout


def test_training_begins_with_what_the_environment_has(machine: Machine, forge: ForgeServer) -> None:
    table = expressions(machine, **{"matrix.model": "digits", "matrix.environment": "dev"})
    [step] = github(machine.root, "stellwerk-train", "train", table)
    stops_at_the_template(machine.run(step, variables(forge)))
    assert f"username=x-access-token\npassword={TOKEN}\n" in login(machine, GITHUB_TOKEN=TOKEN)
    [step] = gitlab(machine.root, "stellwerk-train-digits-dev")
    stops_at_the_template(
        machine.run(step, {**machine.secrets, "CI_PROJECT_URL": "https://git.example.com/team/models"})
    )
    assert f"username=oauth2\npassword={TOKEN}\n" in login(machine, GITLAB_TOKEN=TOKEN)
    assert git(machine.root, "remote", "get-url", "origin") == "https://git.example.com/team/models.git"
    [step] = bitbucket(machine.root, "custom", "stellwerk-train-digits-dev")
    stops_at_the_template(machine.run(step, machine.secrets))
    [step] = bamboo(machine.root, "Train digits in dev")
    address = "https://git.example.com/scm/team/models.git"
    stops_at_the_template(machine.run(step, of_bamboo(machine, bamboo_planRepository_repositoryUrl=address)))
    assert git(machine.root, "remote", "get-url", "origin") == address


@pytest.mark.parametrize(("path", "changed"), [("models/digits/train.py", True), ("stacks/base.yaml", False)])
def test_github_trains_what_a_merge_has_changed(machine: Machine, path: str, changed: bool, tmp_path: Path) -> None:
    before = git(machine.root, "rev-parse", "HEAD")
    (machine.root / path).write_text((machine.root / path).read_text() + "\n# changed\n")
    git(machine.root, "commit", "--quiet", "--all", "--message", "change")
    for known, expected in ((before, changed), ("0" * 40, True)):
        table = expressions(
            machine,
            **{"github.event.before": known, "matrix.model": "digits", "matrix.environment": "dev"},
            **{"steps.changed.outputs.changed": ""},
        )
        [look] = github(machine.root, "stellwerk-apply", "train", table)
        (output := tmp_path / "output").write_text("")
        assert machine.run(look, {"GITHUB_OUTPUT": str(output)}).returncode == 0
        assert output.read_text() == ("changed=true\n" if expected else "")
    git(machine.root, "reset", "--quiet", "--hard", before)


def said(machine: Machine, step: Step, given: Mapping[str, str]) -> str:
    """Run a preview of the change, and return what it wrote; where it can't look it says so by its exit code."""
    (file := machine.root / "preview.md").unlink(missing_ok=True)
    done = machine.run(step, given)
    assert done.returncode == 4, done.stderr
    text = file.read_text()
    assert "| `test` |" in text and "| `dev` |" not in text
    assert not [value for value in machine.secrets.values() if value in text + done.stdout + done.stderr]
    return text


def test_a_preview_is_one_comment_on_the_pull_request(machine: Machine, forge: ForgeServer) -> None:
    revisions = {"base": git(machine.root, "rev-parse", "main"), "head": git(machine.root, "rev-parse", "more-pods")}
    forge.state.pulls.append(Pull(1, "more-pods", "main", "more pods", ""))
    table = expressions(machine, **{f"github.event.pull_request.{side}.sha": each for side, each in revisions.items()})
    [step] = github(machine.root, "stellwerk-preview", "preview", table)
    text = said(machine, step, variables(forge, GITHUB_REF="refs/pull/1/merge"))
    [comment] = forge.state.pulls[0].comments
    assert comment.body.endswith(text)
    [step] = gitlab(machine.root, "stellwerk-preview")
    merge = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": revisions["base"], "CI_COMMIT_SHA": revisions["head"]}
    said(machine, step, {**machine.secrets, **merge})
    [step] = bitbucket(machine.root, "pull-requests", "**")
    pull = {"BITBUCKET_PR_DESTINATION_COMMIT": revisions["base"], "BITBUCKET_COMMIT": revisions["head"]}
    said(machine, step, {**machine.secrets, **pull})
    [step] = bamboo(machine.root, "Preview")
    pull = {"repository_pr_key": "1", "repository_pr_targetBranch": "main", "repository_revision_number": "HEAD"}
    given = {f"bamboo_{name}": value for name, value in pull.items()}
    # Without a token for the forge there is no comment.
    said(machine, step, of_bamboo(machine, BITBUCKET_REPO_FULL_NAME=REPOSITORY, **given))
    assert machine.run(step, of_bamboo(machine)).returncode == 0, "a build of no pull request has nothing to preview"


def test_a_forks_preview_has_two_stages(machine: Machine, forge: ForgeServer) -> None:
    """GitHub's own program is a script here: there is no exported state, and the commit is that of pull request 1."""
    revisions = {"base": git(machine.root, "rev-parse", "main"), "head": git(machine.root, "rev-parse", "more-pods")}
    forge.state.pulls.append(Pull(1, "more-pods", "main", "more pods", "", fork=True))
    program = machine.programs / "gh"
    program.parent.mkdir(exist_ok=True)
    program.write_text('#!/bin/sh\ncase "$1 $4" in "api repos/team/models/pulls") echo 1;; esac\n')
    program.chmod(0o755)
    table = {f"github.event.pull_request.{side}.sha": each for side, each in revisions.items()}
    fetch, look = github(machine.root, "stellwerk-preview", "fork", {**table, "github.token": "of a fork"})
    assert machine.run(fetch, {}).returncode == 0
    # A fork's runner is new, and has nothing of a target.
    state = str(machine.root.parent / "another-state")
    text = said(machine, look, variables(forge, GITHUB_REF="refs/pull/1/merge", STELLWERK_STATE=state))
    assert "there is no exported state" in text
    assert forge.requests == []
    place = Path(machine.variables["RUNNER_TEMP"]) / "fork"
    place.mkdir(parents=True)
    (machine.root / "preview.md").rename(place / "preview.md")
    source = {"head_branch": "more-pods", "head_sha": revisions["head"], "head_repository.owner.login": "somebody"}
    run = {f"github.event.workflow_run.{name}": value for name, value in source.items()}
    [post] = github(machine.root, "stellwerk-comment", "comment", expressions(machine, **run))
    done = machine.run(post, variables(forge))
    assert done.returncode == 0, done.stderr
    [comment] = forge.state.pulls[0].comments
    assert comment.body.endswith(text) and "Written by the fork's own code" in comment.body
