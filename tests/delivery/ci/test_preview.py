"""What a change touches, what of it is refused, and the comment, by an engine that only remembers."""

from pathlib import Path

import pytest

from delivery.clients.git import Git
from delivery.operations.ci_preview import NOT_LOOKED, REFUSED
from delivery.operations.ci_view import cut, pull_request
from delivery.operations.touched import touched
from infra.contract.release import Releases
from tests.delivery.ci.repository import commit, git
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout, write_release
from tests.support.documents import ENVIRONMENTS
from tests.support.engine import FakeEngine
from tests.support.session import Command

BASE = ("--base", "main")


@pytest.fixture
def branch(project: Checkout, releases: Releases) -> Checkout:
    """The checkout on a branch that has nothing of its own yet: dev and test serve the first release."""
    for name in ("dev", "test"):
        project.point(name, FIRST)
    git(project.root, "init", "--quiet", "--template=", "--initial-branch=main")
    commit(project.root, "Everything")
    git(project.root, "switch", "--quiet", "--create", "change")
    return project


def touches(checkout: Checkout) -> tuple[str, ...]:
    commit(checkout.root, "A change")
    return touched(checkout.project(), "main", "HEAD").environments


def write(checkout: Checkout, path: str) -> None:
    file = checkout.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("# A change\n")


@pytest.mark.parametrize(
    ("path", "environments"),
    [
        ("docs/page.md", ()),
        ("README.md", ()),
        ("delivery/cli.py", ()),
        (".github/workflows/preview.yaml", ()),
        ("stacks/feedback/digits/1.yaml", ()),
        ("stacks/base.yaml", ENVIRONMENTS),
        ("components/kit/pods.py", ENVIRONMENTS),
        ("infra/versions.toml", ENVIRONMENTS),
        ("Pulumi.yaml", ENVIRONMENTS),
        # Nobody knows what that is.
        ("stacks/else.yaml", ENVIRONMENTS),
        (f"models/{MODEL}/more.py", ENVIRONMENTS),
        (f"stacks/testsets/{MODEL}/v1.yaml", ENVIRONMENTS),
        ("models/another/more.py", ()),
        (f"stacks/releases/{MODEL}/{SECOND}.yaml", ()),
        (f"stacks/releases/{MODEL}/{FIRST}.yaml", ("dev", "test")),
    ],
)
def test_what_a_file_touches(path: str, environments: tuple[str, ...], branch: Checkout) -> None:
    write(branch, path)
    assert touches(branch) == environments


def test_a_stack_file_touches_its_environment_alone(branch: Checkout) -> None:
    branch.point("prod", FIRST)
    assert touches(branch) == ("prod",)


def test_what_the_target_has_got_meanwhile_touches_nothing(branch: Checkout) -> None:
    branch.point("prod", FIRST)
    commit(branch.root, "A change")
    git(branch.root, "switch", "--quiet", "main")
    write(branch, "stacks/base.yaml")
    commit(branch.root, "Another one")
    git(branch.root, "switch", "--quiet", "change")
    assert touched(branch.project(), "main", "HEAD").environments == ("prod",)


def test_a_change_without_a_common_commit_is_refused(branch: Checkout, stellwerk: Command) -> None:
    git(branch.root, "switch", "--quiet", "--orphan", "apart")
    write(branch, "docs/page.md")
    commit(branch.root, "Apart")
    code, _, err = stellwerk("ci", "preview", *BASE)
    assert code == 1
    assert "have no commit in common" in err


def test_a_change_that_touches_nothing(branch: Checkout, stellwerk: Command) -> None:
    write(branch, "docs/page.md")
    commit(branch.root, "A page")
    code, out, err = stellwerk("ci", "preview", *BASE)
    assert (code, err) == (0, "")
    assert "It touches no environment." in out


def test_environments_are_compared_with_their_stacks(
    branch: Checkout, pulumi: FakeEngine, stellwerk: Command, tmp_path: Path
) -> None:
    pulumi.known.update(ENVIRONMENTS)
    pulumi.applied["dev"] = {MODEL: None}
    branch.edit("dev", lambda values: values["quota"].update(pods=50))
    branch.edit("test", lambda values: values["quota"].update(pods=50))
    commit(branch.root, "More pods")
    pulumi.results["preview"] = [True, False]
    code, out, _ = stellwerk("ci", "preview", *BASE)
    assert code == NOT_LOOKED
    assert "| `dev` | 1 created |" in out
    assert "| `test` | not looked at |" in out
    assert "the preview of test failed" in out
    file = tmp_path / "made" / "comment.md"
    assert stellwerk("ci", "preview", *BASE, "--output", str(file))[:2] == (0, "")
    assert "| `dev` | 1 created |" in file.read_text()


def test_what_is_refused_and_what_nobody_has_looked_at(branch: Checkout, stellwerk: Command, tmp_path: Path) -> None:
    root = branch.root
    # Edited; not valid; a model without framework; an environment with a value that is wrong, one that is gone.
    write_release(Releases(root / "stacks" / "releases"), MODEL, SECOND)
    for path in (f"stacks/releases/{MODEL}/{SECOND}.yaml", f"stacks/releases/{MODEL}/v3-00000000.yaml"):
        with (root / path).open("a") as file:
            file.write("unknownKey: 1\n")
    write(branch, "models/another/model.yaml")
    branch.edit("prod", lambda values: values["quota"].update(pods="```"))
    git(root, "rm", "--quiet", "stacks/Pulumi.test.yaml")
    branch.edit("prod", lambda values: values.update(releasesFrom="dev"))
    branch.edit("dev", lambda values: values["quota"].update(pods=50))
    commit(root, "A change")
    code, out, _ = stellwerk("ci", "preview", *BASE, "--states", str(tmp_path / "nowhere"))
    assert code == REFUSED
    for name in (f"releases/{MODEL}/{SECOND}.yaml", f"releases/{MODEL}/v3-00000000.yaml"):
        assert f"| | **refused**: `stacks/{name}` |" in out
    assert "a release file is never edited" in out
    assert "### `models/another/model.yaml`: refused" in out
    assert "| `prod` | **refused** |" in out
    assert "````text\n" in out, "what is quoted would end its block"
    assert "`pulumi destroy --stack test`" in out
    assert "there is no exported state in" in out


def test_what_is_refused_is_said_where_there_is_no_stack_yet(branch: Checkout, stellwerk: Command) -> None:
    branch.point("prod", "v9-00000000")
    commit(branch.root, "A change")
    code, out, _ = stellwerk("ci", "preview", *BASE)
    assert (code, "v9-00000000" in out, "no such stack" in out) == (REFUSED, True, False)


def test_of_an_environment_that_is_new_nothing_is_there_yet(branch: Checkout) -> None:
    text = branch.file("prod").read_text().replace("environment: prod", "environment: stage")
    branch.file("stage").write_text(text)
    commit(branch.root, "One more")
    change = touched(branch.project(), "main", "HEAD")
    assert (change.environments, change.new) == (("stage",), frozenset({"stage"}))


@pytest.mark.parametrize(
    ("variables", "number"),
    [
        ({}, None),
        ({"GITHUB_REF": "refs/heads/main"}, None),
        ({"GITHUB_REF": "refs/pull/12/merge"}, 12),
        ({"CI_MERGE_REQUEST_IID": "7"}, 7),
        ({"BITBUCKET_PR_ID": "3"}, 3),
        ({"bamboo_repository_pr_key": "4"}, 4),
    ],
)
def test_the_pull_request_that_a_pipeline_runs_for(variables: dict[str, str], number: int | None) -> None:
    assert pull_request(variables) == number


@pytest.mark.parametrize("limit", [300, 420, 700, 999])
def test_a_long_comment_is_cut_at_a_line(limit: int) -> None:
    text = "## Preview\n\n" + "".join(f"| row {number} | `x` |\n" for number in range(100))
    shown = cut(text, limit)
    assert len(shown) <= limit
    kept, _, rest = shown.partition("\n\n_Cut here: ")
    assert text.startswith(f"{kept}\n")
    assert len(text.splitlines()) == len(kept.splitlines()) + int(rest.split()[0])


def test_a_comment_is_cut_within_a_block_of_code() -> None:
    text = "````text\n```\n" + "line\n" * 100 + "````\n"
    assert "\nline\n````\n\n_Cut here: " in cut(text, 300)
    assert cut(text, len(text)) == text
    with pytest.raises(ValueError, match="no room"):
        cut(text, 20)


def test_git_says_what_differs(branch: Checkout) -> None:
    history = Git(branch.root)
    before = history.head()
    assert before is not None
    (branch.root / "stacks/Pulumi.prod.yaml").rename(branch.root / "stacks/Pulumi.stage ü.yaml")
    after = commit(branch.root, "Moved")
    assert history.changed(before, after) == ("stacks/Pulumi.prod.yaml", "stacks/Pulumi.stage ü.yaml")
    assert [history.has(each, "stacks/Pulumi.prod.yaml") for each in (before, after)] == [True, False]


def test_a_checkout_without_commits_has_no_head(tmp_path: Path) -> None:
    assert Git(tmp_path).head() is None
    git(tmp_path, "init", "--quiet", "--template=")
    assert Git(tmp_path).head() is None
