"""Every model of this checkout passes its contract suite, as far as this environment has its framework."""

from itertools import takewhile
from pathlib import Path

import pytest

from delivery.clients.frameworks import Interpreter
from infra.contract.model import Framework, Models
from infra.services.training import staged
from infra.values import ROOT
from training.check import suite

MODELS = Models(ROOT / "models")
TRAINED = [name for name in MODELS.names() if MODELS.load(name).framework is not Framework.NONE]


@pytest.mark.parametrize("model", TRAINED)
def test_code_and_data_are_what_the_document_says(model: str, tmp_path: Path) -> None:
    checks = suite(staged(MODELS, model, tmp_path / model), f"models/{model}")
    seen = list(takewhile(lambda check: check.check != "framework", checks))
    lacking = Interpreter(ROOT, MODELS.load(model).framework, MODELS.folder / model, {}).lacking
    if lacking and "ModuleNotFoundError" in seen[-1].value:
        pytest.skip(f"it imports what is not in this environment; `stellwerk model check {model}` has it")
    assert [check for check in seen if not check.passed] == []
    assert [check.check for check in seen] == ["code", "data"]


@pytest.mark.parametrize("model", TRAINED)
def test_a_tiny_fit_can_be_served(model: str, tmp_path: Path) -> None:
    folder = MODELS.folder / model
    lacking = Interpreter(ROOT, MODELS.load(model).framework, folder, {}).lacking
    if lacking:
        pytest.skip(f"not in this environment: {', '.join(lacking)}; `stellwerk model check {model}` has it")
    seen = list(suite(staged(MODELS, model, tmp_path / model), f"models/{model}"))
    assert [check for check in seen if not check.passed] == []
    assert seen[-1].check == "determinism"
