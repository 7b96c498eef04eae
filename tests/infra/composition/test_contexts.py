"""A build context is the same from every checkout."""

import os
from pathlib import Path

import pytest

from infra.composition.contexts import stage
from infra.contract.problems import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "serving"
    (folder / "part").mkdir(parents=True)
    for name, mode in (("Dockerfile", 0o644), (".dockerignore", 0o644), ("run.sh", 0o755), ("part/a.py", 0o644)):
        (folder / name).write_text(name)
        (folder / name).chmod(mode)
    return folder


def look(place: Path) -> dict[str, tuple[int, str]]:
    return {
        str(path.relative_to(place)): (path.stat().st_mode & 0o777, path.read_text())
        for path in place.rglob("*")
        if path.is_file()
    }


def test_modes_are_not_the_checkouts(folder: Path, tmp_path: Path) -> None:
    before = look(stage(folder, tmp_path / "mine"))
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    assert look(stage(folder, tmp_path / "others")) == before
    assert before == {
        "run.sh": (0o755, "run.sh"), "Dockerfile": (0o644, "Dockerfile"),
        ".dockerignore": (0o644, ".dockerignore"), "part/a.py": (0o644, "part/a.py"),
    }  # fmt: skip


@pytest.mark.parametrize("stray", [".DS_Store", "part/.ipynb_checkpoints/a.py", "__pycache__/a.pyc", "part/.a.py.swp"])
def test_stray_files_stay_outside(folder: Path, tmp_path: Path, stray: str) -> None:
    before = look(stage(folder, tmp_path / "place"))
    (folder / stray).parent.mkdir(exist_ok=True)
    (folder / stray).write_text("stray")
    assert look(stage(folder, tmp_path / "place")) == before


def test_it_follows_its_folder_and_touches_nothing_else(folder: Path, tmp_path: Path) -> None:
    place = stage(folder, tmp_path / "place")
    os.utime(place / "run.sh", (0, 0))
    (folder / "part" / "a.py").write_text("changed")
    (folder / "Dockerfile").unlink()
    stage(folder, place)
    assert set(look(place)) == {".dockerignore", "run.sh", "part/a.py"}
    assert (place / "part" / "a.py").read_text() == "changed"
    assert (place / "run.sh").stat().st_mtime == 0


def test_a_place_that_cannot_be_written_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "place").write_text("a file")
    with pytest.raises(ConfigError, match=r"place: .*; contexts of images are put there"):
        stage(folder, tmp_path / "place")


def test_documents_are_staged_as_json_beside_what_is_chosen(folder: Path, tmp_path: Path) -> None:
    def staged(name: str) -> bool:
        return name.startswith("part/")

    place = stage(folder, tmp_path / "place", staged, {"model.json": {"b": 1, "a": "ä"}, "gone.json": {}})
    os.utime(place / "model.json", (0, 0))
    stage(folder, place, staged, {"model.json": {"b": 1, "a": "ä"}})
    assert look(place) == {
        "part/a.py": (0o644, "part/a.py"),
        "model.json": (0o644, '{\n  "b": 1,\n  "a": "ä"\n}\n'),
    }
    assert (place / "model.json").stat().st_mtime == 0, "what is equal is not touched"
