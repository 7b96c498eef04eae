"""The documents of this checkout's models, for a checkout that a test makes."""

import shutil
from pathlib import Path

from infra.contract.model import FILE, Models
from infra.values import ROOT


def copy_models(root: Path) -> None:
    """Give the checkout at `root` the models of this one: their documents without their code."""
    for name in Models(ROOT / "models").names():
        (root / "models" / name).mkdir(parents=True)
        shutil.copy(ROOT / "models" / name / FILE, root / "models" / name)
