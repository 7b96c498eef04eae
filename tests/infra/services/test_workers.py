"""Several workers are refused where the framework trains in one process."""

import pytest

from infra.contract.model import Models
from infra.services.training import TrainingSection, _alone
from infra.values import ROOT

TEMPLATES = Models(ROOT / "delivery" / "templates")


@pytest.mark.parametrize("model", ["sklearn", "keras", "boosting"])
def test_a_framework_of_one_process_takes_one_worker(model: str) -> None:
    (problem,) = _alone(model, TrainingSection(workers=2), TEMPLATES)
    assert problem.path == ("training", model, "workers")
    assert "pytorch" in problem.allowed
    assert list(_alone(model, TrainingSection(), TEMPLATES)) == []


def test_pytorch_takes_several() -> None:
    assert list(_alone("torch", TrainingSection(workers=2), TEMPLATES)) == []
