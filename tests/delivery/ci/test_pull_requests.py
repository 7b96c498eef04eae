"""`stellwerk ci preview` on pull requests of a repository with a bare remote: comments, checks, exit codes."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery.operations.ci_preview import PREVIEW_CHECK, REFUSED, VALUES_CHECK
from tests.delivery.ci.repository import Repository, commit, git, make, run
from tests.program.harness import SENTINEL
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.forges.server import TOKEN, ForgeServer, serve
from tests.support.forges.state import REPOSITORY

pytestmark = pytest.mark.tools
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def forge() -> Iterator[ForgeServer]:
    with serve("github") as server:
        yield server


@pytest.fixture
def change(repository: Repository) -> Iterator[Callable[..., str]]:
    """Makes a branch of a change, pushes it and returns its commit; main is checked out again in the end."""
    root = repository.root

    def make_branch(name: str, edit: Callable[[Checkout], Any]) -> str:
        git(root, "switch", "--quiet", "--force-create", name, "main")
        edit(Checkout(root))
        made = commit(root, f"Change: {name}")
        git(root, "push", "--quiet", "--force", "origin", name)
        return made

    yield make_branch
    git(root, "switch", "--quiet", "main")


@pytest.fixture
def preview(
    repository: Repository, forge: ForgeServer, capsys: pytest.CaptureFixture[str]
) -> Callable[[], tuple[int, str]]:
    """Runs the preview as the pipeline of a pull request does; its exit code, and the comment that is there then."""
    pull = forge.state.add_pull("branch", "main", "A change", "")

    def look() -> tuple[int, str]:
        pipeline = {
            "GITHUB_REF": f"refs/pull/{pull.number}/merge",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": forge.url,
            "GITHUB_TOKEN": TOKEN,
        }
        variables = {**repository.applied.engine.variables, **pipeline}
        code, out, err = run(repository.root, variables, capsys, "ci", "preview", "--base", "origin/main")
        assert [out, SENTINEL in err, TOKEN in err] == ["", False, False]
        (only,) = pull.comments
        return code, only.body

    return look


def promote(checkout: Checkout, repository: Repository) -> None:
    """Write the second release, which is better, and point to it."""

    def better(document: Any) -> None:
        document["evaluation"]["metrics"]["accuracy"] = document["evaluation"]["gates"][0]["value"] = 0.98
        document["requirements"] = ["REQ-12"]

    repository.release(checkout.root, SECOND, better)
    checkout.point("prod", SECOND, FIRST)


def require_golden(name: str, comment: str) -> None:
    """Compare a comment with the golden one, but for the ids of commits, whose content has encrypted values."""
    shown = re.sub(r"\b[0-9a-f]{12}\b", "0123456789ab", comment)
    assert SENTINEL not in comment
    assert shown.rstrip("\n") + "\n" == (GOLDEN / f"{name}.md").read_text()


def results(forge: ForgeServer, at: str) -> dict[str, str]:
    return {name: each["state"] for (of, name), each in forge.state.checks.items() if of == at}


def test_a_promotion_and_a_second_push(
    repository: Repository, change: Callable[..., str], preview: Callable[[], tuple[int, str]], forge: ForgeServer
) -> None:
    at = change("promotion", lambda checkout: promote(checkout, repository))
    code, comment = preview()
    assert code == 0
    require_golden("promotion", comment)
    assert results(forge, at) == {VALUES_CHECK: "success", PREVIEW_CHECK: "success"}

    def twice(checkout: Checkout) -> None:
        promote(checkout, repository)
        checkout.edit("prod", lambda values: values["models"][MODEL].update(replicas=2))

    again = change("promotion", twice)
    code, comment = preview()
    assert (code, again != at, at[:12] in comment, again[:12] in comment) == (0, True, False, True)
    assert "spec.replicas" in comment


def test_a_node_pool_is_added(change: Callable[..., str], preview: Callable[[], tuple[int, str]]) -> None:
    pool = {"name": "gpu-large", "accelerator": "nvidia-h100", "gpus": 8, "nodes": 2, "external": True}

    def add(values: Any) -> None:
        values["nodePools"].append({**pool, "pricePerHour": 29.5})
        values["models"][MODEL]["nodePool"] = pool["name"]

    change("pool", lambda checkout: checkout.edit("prod", add))
    code, comment = preview()
    assert code == 0
    require_golden("pool", comment)


def test_a_value_is_broken(
    change: Callable[..., str], preview: Callable[[], tuple[int, str]], forge: ForgeServer
) -> None:
    at = change("broken", lambda checkout: checkout.edit("prod", lambda values: values["quota"].update(pods="many")))
    code, comment = preview()
    assert code == REFUSED
    require_golden("broken", comment)
    assert results(forge, at) == {VALUES_CHECK: "failure", PREVIEW_CHECK: "success"}


def test_a_release_is_unknown(change: Callable[..., str], preview: Callable[[], tuple[int, str]]) -> None:
    change("unknown", lambda checkout: checkout.point("prod", "v9-00000000", FIRST))
    code, comment = preview()
    assert code == REFUSED
    require_golden("unknown", comment)


def test_a_fork_has_neither_cluster_nor_credentials(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = repository.applied.engine.variables
    code, out, err = run(
        repository.root, variables, capsys, "ci", "export", "prod", "--output", str(tmp_path / "state")
    )
    assert (code, out, err) == (0, f"{tmp_path}/state/prod.json\n", "")
    assert SENTINEL not in (tmp_path / "state" / "prod.json").read_text()

    fork = tmp_path / "fork"
    git(tmp_path, "clone", "--quiet", "--branch", "main", str(repository.remote), str(fork))
    promote(Checkout(fork), repository)
    commit(fork, "A promotion from outside")
    secret = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "KUBECONFIG")
    bare = {name: value for name, value in variables.items() if name not in secret}
    arguments = ("ci", "preview", "--base", "origin/main", "--states", str(tmp_path / "state"))
    file = tmp_path / "comment.md"
    assert run(fork, bare, capsys, *arguments, "--output", str(file)) == (0, "", "")
    require_golden("fork", file.read_text())
    left = [path for path in tmp_path.rglob("*") if path.is_file() and SENTINEL.encode() in path.read_bytes()]
    assert (left, list(Path(variables["STELLWERK_WORK"]).iterdir())) == ([], [])
    # Without cluster and credentials the plan is the same as with them, but for whether it fits.
    plans = [
        re.search(r"### prod: .*\nCost[^\n]*", (GOLDEN / f"{name}.md").read_text(), re.DOTALL)
        for name in ("fork", "promotion")
    ]
    assert plans[0] and plans[1]
    assert plans[0][0] == plans[1][0]
