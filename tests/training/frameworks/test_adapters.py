"""Frameworks: each has all that training and the image need."""

from pathlib import Path

import pytest

from infra.contract.model import Framework
from training.errors import TrainingError
from training.frameworks import adapter

ROOT = Path(__file__).resolve().parents[3]


# Nothing trains an existing file.
TRAINED = [framework for framework in Framework if framework is not Framework.NONE]


@pytest.mark.parametrize("framework", TRAINED)
def test_a_framework_is_a_folder(framework: Framework) -> None:
    folder = ROOT / "training" / "frameworks" / framework.package
    assert {"__init__.py", "requirements.in", "requirements.txt"} <= {file.name for file in folder.iterdir()}


def test_every_folder_is_a_framework() -> None:
    folders = {file.parent.name for file in (ROOT / "training" / "frameworks").glob("*/__init__.py")}
    assert folders == {framework.package for framework in TRAINED}


def test_a_framework_that_is_not_installed_is_named() -> None:
    with pytest.raises(TrainingError, match="abacus is not installed"):
        adapter("abacus")
