"""`promote --pull-request` and `rollback --pull-request`: a real remote, and a forge that takes what is published."""

from pathlib import Path

from delivery.operations.proposal import Proposal, fitted
from infra.contract.evidence import EvidenceFolder
from tests.delivery.plan.recorded import EVENTS
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.engine import FakeEngine
from tests.support.forges.remote import BRANCH, PROMOTE, Git
from tests.support.forges.server import ForgeServer
from tests.support.forges.state import REPOSITORY
from tests.support.session import Command


def files_of(origin: Git, branch: str = BRANCH) -> list[str]:
    """Return what a branch changes in main."""
    return origin("diff", "--name-status", "main", branch).split("\n")[:-1]


def test_a_promotion_is_proposed_and_nothing_of_the_checkout_is_touched(
    git: Git, origin: Git, project: Checkout, server: ForgeServer, pulumi: FakeEngine, stellwerk: Command
) -> None:
    evidence = EvidenceFolder(project.root / "stacks" / "evidence").file(MODEL, SECOND, "test", "testset-v1")
    evidence.parent.mkdir(parents=True)
    evidence.write_text("kind: Evidence\n")
    # Somebody is in the middle of something else.
    (project.root / "notes.txt").write_text("half a thought\n")
    git("add", "notes.txt")
    project.edit("dev", lambda config: config["quota"].update(pods=41))
    project.edit("prod", lambda config: config["quota"].update(pods=42))
    before = git("status", "--porcelain=v2"), git("diff", "HEAD"), git("rev-parse", "HEAD"), git("stash", "list")
    code, out, err = stellwerk(*PROMOTE)
    assert (code, out) == (0, f"{server.url}/{REPOSITORY}/pull/1\n"), err
    assert (
        git("status", "--porcelain=v2"),
        git("diff", "HEAD"),
        git("rev-parse", "HEAD"),
        git("stash", "list"),
    ) == before
    assert pulumi.changes == [], "something was applied"
    release, name = f"stacks/releases/{MODEL}/{SECOND}.yaml", evidence.relative_to(project.root)
    assert files_of(origin) == ["M\tstacks/Pulumi.prod.yaml", f"A\t{name}", f"A\t{release}"]
    changed = [line for line in origin("diff", "-U0", "main", BRANCH, "--", "stacks/Pulumi.prod.yaml").splitlines()[5:]]
    assert changed == [
        f"-      release: {FIRST}",
        "-      previous: null",
        f"+      release: {SECOND}",
        f"+      previous: {FIRST}",
    ]
    [pull] = server.state.pulls
    assert (pull.source, pull.target, pull.title) == (BRANCH, "main", f"Promote {MODEL} to {SECOND} in prod")
    assert list(pulumi.work.iterdir()) == []


def test_its_text_is_the_plan_of_what_the_branch_has(
    git: Git, origin: Git, server: ForgeServer, pulumi: FakeEngine, stellwerk: Command
) -> None:
    pulumi.recorded = EVENTS.read_text()
    read: list[tuple[str, bytes]] = []

    def look(text: str, documents: Path | None) -> None:
        if documents is not None:
            read.append((text, (documents / "stacks" / "releases" / MODEL / f"{SECOND}.yaml").read_bytes()))

    pulumi.looked = look
    assert stellwerk(*PROMOTE, "--allow-other-changes")[0] == 0
    commit = origin("rev-parse", BRANCH).strip()
    shown = stellwerk("plan", "prod", "--markdown", "--from-git", commit)[1]
    [pull] = server.state.pulls
    assert pull.body.partition("\n\n")[2] == shown.rstrip("\n")
    assert f"| `{MODEL}` | `{FIRST} → {SECOND}` |" in shown
    text = origin("show", f"{BRANCH}:stacks/Pulumi.prod.yaml")
    assert [each[0] for each in read] == [text, text]


def test_again_it_is_the_same_branch_and_the_same_pull_request(
    git: Git, origin: Git, server: ForgeServer, stellwerk: Command
) -> None:
    first = stellwerk(*PROMOTE)
    commit = origin("rev-parse", BRANCH)
    code, out, err = stellwerk(*PROMOTE)
    assert (code, out) == (0, first[1])
    assert f"the branch {BRANCH} is up to date" in err
    assert origin("rev-parse", BRANCH) == commit
    # Main has moved meanwhile: the branch goes along, or it could not be merged.
    git("commit", "--quiet", "--allow-empty", "-m", "something else")
    git("push", "--quiet", "origin", "HEAD:main")
    assert stellwerk(*PROMOTE)[1] == first[1]
    assert origin("rev-list", "--count", f"main..{BRANCH}").strip() == "1"
    assert origin("merge-base", "main", BRANCH) == origin("rev-parse", "main")
    assert len(server.state.pulls) == 1


def test_what_main_has_already_is_not_proposed(
    git: Git, origin: Git, project: Checkout, server: ForgeServer, stellwerk: Command
) -> None:
    stellwerk(*PROMOTE)
    origin("update-ref", "refs/heads/main", origin("rev-parse", BRANCH).strip())
    origin("update-ref", "-d", f"refs/heads/{BRANCH}")
    server.state.pulls.clear()
    code, out, err = stellwerk(*PROMOTE)
    assert (code, out) == (0, "")
    assert f"main has {SECOND} of {MODEL} in prod already: `pulumi up --stack prod` applies it" in err
    assert (server.state.pulls, origin("for-each-ref", BRANCH)) == ([], "")


def test_what_prod_answers_with_already_is_not_proposed(
    git: Git, origin: Git, project: Checkout, pulumi: FakeEngine, server: ForgeServer, stellwerk: Command
) -> None:
    project.point("prod", SECOND, FIRST)
    code, out, err = stellwerk(*PROMOTE)
    assert (code, out) == (0, "")
    assert "nothing to do" in err
    assert (server.requests, origin("for-each-ref", "refs/heads/stellwerk")) == ([], "")


def test_a_rollback_is_proposed_from_what_main_has(
    git: Git, origin: Git, project: Checkout, server: ForgeServer, pulumi: FakeEngine, stellwerk: Command
) -> None:
    project.point("prod", SECOND, FIRST)
    git("add", "--force", "stacks")
    git("commit", "--quiet", "-m", "prod has the second")
    git("push", "--quiet", "origin", "main")
    rollback = ("rollback", MODEL, "--env", "prod", "--pull-request")
    code, out, err = stellwerk(*rollback)
    assert (code, out) == (0, f"{server.url}/{REPOSITORY}/pull/1\n"), err
    branch = f"stellwerk/rollback-{MODEL}-prod-{FIRST}"
    assert files_of(origin, branch) == ["M\tstacks/Pulumi.prod.yaml"]
    assert f"release: {FIRST}\n      previous: {SECOND}" in origin("show", f"{branch}:stacks/Pulumi.prod.yaml")
    # It is merged, and asked for again from a checkout that does not know it yet: it does not go forth again.
    origin("update-ref", "refs/heads/main", origin("rev-parse", branch).strip())
    assert f"main has {FIRST} of {MODEL} in prod already" in stellwerk(*rollback)[2]


def test_a_project_may_be_a_folder_of_its_repository(
    git: Git, origin: Git, project: Checkout, server: ForgeServer, stellwerk: Command
) -> None:
    top = project.root.parent
    (project.root / ".git").rename(top / ".git")
    (top / ".git" / "info").mkdir(exist_ok=True)
    (top / ".git" / "info" / "exclude").write_text("/origin.git\n/state\n/artefacts\n")
    git("add", "--all", ":/checkout")
    git("rm", "-r", "--quiet", "--cached", "--ignore-unmatch", ":/stacks", ":/models", ":/notes.txt", ":/.gitignore")
    git("commit", "--quiet", "-m", "moved")
    git("push", "--quiet", "origin", "main")
    code, out, err = stellwerk(*PROMOTE)
    assert (code, out) == (0, f"{server.url}/{REPOSITORY}/pull/1\n"), err
    assert "M\tcheckout/stacks/Pulumi.prod.yaml" in files_of(origin)


def test_a_text_beyond_the_forge_s_limit_is_cut_between_lines() -> None:
    proposal = Proposal("promote", MODEL, "prod", SECOND)
    text = "\n".join(f"line {number}" for number in range(100))
    assert fitted(text, len(text), proposal) == text
    cut = fitted(text, 400, proposal)
    assert len(cut) <= 400
    kept, _, note = cut.partition("\n\n")
    assert text.startswith(f"{kept}\n")
    assert note == f"Cut; all of it: `stellwerk plan prod --from-git origin/{BRANCH}`"
