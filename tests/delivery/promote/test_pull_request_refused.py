"""What is not proposed, or not to its end: others' commits, remotes, tokens and forges that refuse."""

from pathlib import Path

import pytest

from tests.support.checkout import MODEL, SECOND, Checkout
from tests.support.engine import FakeEngine
from tests.support.forges.remote import BRANCH, PROMOTE, Git
from tests.support.forges.server import TOKEN, ForgeServer
from tests.support.forges.state import REPOSITORY
from tests.support.session import Command


def test_a_branch_with_somebody_else_s_commit_is_left_alone(
    git: Git, origin: Git, server: ForgeServer, stellwerk: Command
) -> None:
    stellwerk(*PROMOTE)
    tree, parent = origin("rev-parse", f"{BRANCH}^{{tree}}").strip(), origin("rev-parse", BRANCH).strip()
    theirs = git("commit-tree", "-m", "a reviewer's remark", "-p", parent, tree).strip()
    git("push", "--quiet", "origin", f"{theirs}:refs/heads/{BRANCH}")
    code, out, err = stellwerk(*PROMOTE)
    assert (code, out) == (1, "")
    assert "has a commit of somebody else (a reviewer's remark)" in err
    assert origin("rev-parse", BRANCH).strip() == theirs


def test_a_branch_that_somebody_moves_meanwhile_is_left_alone(
    git: Git, origin: Git, server: ForgeServer, pulumi: FakeEngine, stellwerk: Command
) -> None:
    theirs = origin("rev-parse", "main").strip()

    def move(_: str, documents: Path | None) -> None:
        if documents is not None:
            origin("update-ref", f"refs/heads/{BRANCH}", theirs)

    pulumi.looked = move
    code, _, err = stellwerk(*PROMOTE)
    assert code == 1
    assert "pushing to the remote `origin` failed" in err
    assert origin("rev-parse", BRANCH).strip() == theirs
    assert server.state.pulls == []


def test_without_a_token_the_branch_is_pushed_and_a_person_can_go_on(
    git: Git, origin: Git, server: ForgeServer, pulumi: FakeEngine, stellwerk: Command
) -> None:
    dict.pop(pulumi.variables, "FORGE_TOKEN")  # type: ignore[arg-type]
    code, out, err = stellwerk(*PROMOTE)
    assert (code, out) == (1, "")
    assert f"{server.url}/{REPOSITORY}/compare/main...{BRANCH}?expand=1" in err
    assert "FORGE_TOKEN is not set" in err
    assert origin("rev-parse", BRANCH)
    dict.update(pulumi.variables, {"FORGE_TOKEN": TOKEN})  # type: ignore[arg-type]
    assert stellwerk(*PROMOTE)[:2] == (0, f"{server.url}/{REPOSITORY}/pull/1\n")


def test_a_push_that_is_refused_is_quoted_and_no_pull_request_is_opened(
    git: Git, origin: Git, server: ForgeServer, stellwerk: Command
) -> None:
    hook = Path(origin("rev-parse", "--absolute-git-dir").strip(), "hooks", "pre-receive")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho branches are protected here >&2\nexit 1\n")
    hook.chmod(0o755)
    code, out, err = stellwerk(*PROMOTE)
    assert (code, out) == (1, "")
    assert "pushing to the remote `origin` failed" in err
    assert "branches are protected here" in err
    assert server.state.pulls == []


@pytest.mark.parametrize(
    ("remote", "message"),
    [
        (None, "this checkout has no remote `origin`"),
        ("http://me:canary-of-the-remote@127.0.0.1:9/models.git", "reading the remote `origin` failed"),
    ],
    ids=["none", "not reached"],
)
def test_a_remote_that_is_not_there(
    remote: str | None, message: str, git: Git, project: Checkout, stellwerk: Command
) -> None:
    git("remote", "remove", "origin")
    if remote:
        git("remote", "add", "origin", remote)
    else:
        (project.root / "stacks" / "base.yaml").unlink()
    code, out, err = stellwerk(*PROMOTE)
    assert (code, out) == (1, "")
    assert message in err
    assert "canary-of-the-remote" not in err


def test_what_a_promotion_refuses_is_not_proposed(
    git: Git, origin: Git, project: Checkout, server: ForgeServer, pulumi: FakeEngine, stellwerk: Command
) -> None:
    pulumi.drifted["prod"] = ("settings",)
    code, _, err = stellwerk(*PROMOTE)
    assert code == 1
    assert "this would also change what is not digits's" in err
    pulumi.drifted.clear()
    code, _, err = stellwerk("promote", MODEL, "--to", "prod", "--release", "v9-00000000", "--pull-request")
    assert code == 1
    assert "there is no such release" in err
    assert (server.requests, origin("for-each-ref", "refs/heads/stellwerk")) == ([], "")


def test_an_immutable_file_that_main_has_otherwise_is_refused(
    git: Git, origin: Git, project: Checkout, stellwerk: Command
) -> None:
    file = project.root / "stacks" / "releases" / MODEL / f"{SECOND}.yaml"
    git("add", "--force", str(file))
    git("commit", "--quiet", "-m", "the release")
    git("push", "--quiet", "origin", "main")
    file.write_text(file.read_text().replace("accuracy", "precision"))
    code, _, err = stellwerk(*PROMOTE)
    assert code == 1
    assert f"{SECOND}.yaml is another one in main" in err
