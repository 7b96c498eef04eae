"""The revision of an image: a commit that every checkout of the history finds, and a digest of what differs."""

import os
import subprocess
from pathlib import Path

import pytest

from infra.revision import revision, revisions

IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


def git(folder: Path, *arguments: str) -> str:
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    command = ["git", *IDENTITY, *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A project in a folder of a repository, with one commit."""
    root = tmp_path / "repository" / "project"
    for name in ("training/a.py", "models/digits/model.yaml", "docs/a.md"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text(f"{name}\n")
    git(root.parent, "init", "--quiet")
    commit(root, "first")
    return root


def test_it_is_the_last_commit_that_touched_the_folders(checkout: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    (checkout / "docs" / "a.md").write_text("other")
    second = commit(checkout, "docs")
    assert revision(checkout, ("training", "models")) == first
    assert revision(checkout, ("docs",)) == second
    (checkout / "models" / "digits" / "model.yaml").write_text("other")
    third = commit(checkout, "models")
    assert revision(checkout, ("training", "models")) == third
    assert revision(checkout, ("training",)) == first


def test_several_are_answered_for_together(checkout: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    (checkout / "docs" / "a.md").write_text("other")
    second = commit(checkout, "docs")
    (checkout / "training" / "a.py").write_text("other")
    given = {"image": ("training",), "documents": ("docs",), "models": ("models/*/model.yaml",), "none": ("absent",)}
    answers = revisions(checkout, given)
    assert answers == {name: revision(checkout, sources) for name, sources in given.items()}
    assert answers.pop("image").startswith(f"{first}+")
    assert answers == {"documents": second, "models": first, "none": second}
    assert revisions(checkout, {}) == {}


def test_another_checkout_of_the_same_history_says_the_same(checkout: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(checkout.parent), "clone")
    assert revision(tmp_path / "clone" / "project", ("training",)) == revision(checkout, ("training",))


def change(checkout: Path) -> None:
    (checkout / "training" / "a.py").write_text("other\n")


def add(checkout: Path) -> None:
    (checkout / "training" / "neu-ä b.py").write_text("new\n")


def add_to_index(checkout: Path) -> None:
    add(checkout)
    git(checkout, "add", "--all")


def remove(checkout: Path) -> None:
    (checkout / "training" / "a.py").unlink()


def rename(checkout: Path) -> None:
    git(checkout, "mv", "training/a.py", "training/b.py")


def make_executable(checkout: Path) -> None:
    (checkout / "training" / "a.py").chmod(0o755)


@pytest.mark.parametrize("dirty", [change, add, add_to_index, remove, rename, make_executable])
def test_what_differs_is_said_with_a_digest(dirty: object, checkout: Path, tmp_path: Path) -> None:
    clean = revision(checkout, ("training",))
    git(tmp_path, "clone", "--quiet", str(checkout.parent), "clone")
    other = tmp_path / "clone" / "project"
    # How differences are shown is the user's affair.
    git(other, "config", "diff.noprefix", "true")
    git(other, "config", "status.showUntrackedFiles", "no")
    revisions = []
    for place in (checkout, other):
        dirty(place)  # type: ignore[operator]
        revisions.append(revision(place, ("training",)))
    assert revisions[0] == revisions[1]
    base, _, digest = revisions[0].partition("+")
    assert (base, len(digest)) == (clean, 12)
    assert revision(checkout, ("docs",)) == clean, "another folder is not dirty"


def test_another_difference_has_another_digest(checkout: Path) -> None:
    revisions = set()
    for text in ("one", "two", "two\n"):
        (checkout / "training" / "a.py").write_text(text)
        revisions.add(revision(checkout, ("training",)))
    assert len(revisions) == 3


def test_files_that_git_ignores_do_not_count(checkout: Path) -> None:
    (checkout / ".gitignore").write_text("__pycache__/\n")
    commit(checkout, "ignore")
    before = revision(checkout, ("training",))
    (checkout / "training" / "__pycache__").mkdir()
    (checkout / "training" / "__pycache__" / "a.pyc").write_text("x")
    assert revision(checkout, ("training",)) == before


def test_outside_git_it_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    assert revision(tmp_path, ("training",)) == "unknown"


def test_a_clone_that_is_cut_off_does_not_guess(checkout: Path, tmp_path: Path) -> None:
    (checkout / "docs" / "a.md").write_text("other")
    head = commit(checkout, "docs")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{checkout.parent}", "clone")
    assert revision(tmp_path / "clone" / "project", ("training",)) == "unknown"
    git(tmp_path / "clone", "fetch", "--quiet", "--unshallow")
    assert revision(tmp_path / "clone" / "project", ("docs",)) == head


def test_a_hooks_variables_name_no_other_repository(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = revision(checkout, ("training",))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert revision(checkout, ("training",)) == expected


def test_what_is_left_out_does_not_count(checkout: Path) -> None:
    given = ("models/digits", "!models/digits/tests", "!models/digits/*.md")
    before = revision(checkout, given)
    assert before == git(checkout, "rev-parse", "HEAD")
    (checkout / "models" / "digits" / "notes.md").write_text("new")
    (checkout / "models" / "digits" / "tests").mkdir()
    (checkout / "models" / "digits" / "tests" / "a.py").write_text("new")
    assert revision(checkout, given) == before
    commit(checkout, "beside the model")
    assert revision(checkout, given) == before
    (checkout / "models" / "digits" / "data.csv").write_text("new")
    assert revision(checkout, given).startswith(f"{before}+")
    whole = revisions(checkout, {"part": given, "whole": ("models",)})
    assert whole["whole"].startswith(git(checkout, "rev-parse", "HEAD")), "what one leaves out may be another's"
    assert whole["part"] == revision(checkout, given)
