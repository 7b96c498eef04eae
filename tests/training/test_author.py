"""The author's functions: found in `train.py`, with the files beside it."""

from pathlib import Path

import pytest

from training.author import read_author
from training.errors import TrainingError


def test_files_beside_it_are_imported_by_a_dot(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "numbers.py").write_text(f"NAME = {name!r}\n")
        (tmp_path / name / "train.py").write_text(
            "from .numbers import NAME\n\ndef load():\n    return NAME\n\ndef fit(*given):\n    return 1\n"
        )
    loaded = [read_author(tmp_path / name) for name in ("one", "other")]
    assert [author.load() for author in loaded] == ["one", "other"], "models do not share modules"
    assert loaded[0].evaluate is loaded[0].export is None


def test_what_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"train\.py: there is no such file"):
        read_author(tmp_path)
    (tmp_path / "train.py").write_text("def load():\n    return {}\n")
    with pytest.raises(TrainingError, match=r"train\.py: it has no function fit; docs/models\.md has it"):
        read_author(tmp_path)
