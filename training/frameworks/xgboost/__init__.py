"""XGBoost: `fit` returns a fitted `XGBClassifier` or `XGBRegressor`, or a pipeline that ends with one."""

import copy
import json
from typing import Any

import numpy as np
import xgboost
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

from training.errors import TrainingError
from training.frameworks.tables import answers, export, register, seed

__all__ = ["answers", "export", "prepare"]


def prepare(device: str, number: int) -> None:
    """Seed every generator of random numbers; raise TrainingError when CUDA is asked for and there is none."""
    if device == "cuda" and not _has_gpu():
        raise TrainingError(
            "STELLWERK_DEVICE is 'cuda' and XGBoost sees no GPU; give the training Job a GPU node pool or set the "
            "device to 'cpu'"
        )
    seed(number)


def _has_gpu() -> bool:
    """Return whether XGBoost trains on a GPU: where it sees none, it says so to its log and takes the CPU."""
    rows = xgboost.DMatrix(np.zeros((1, 1), np.float32), label=np.zeros(1, np.float32))
    booster = xgboost.train({"device": "cuda", "verbosity": 0}, rows, num_boost_round=1)
    device: str = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    return device.startswith("cuda")


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Convert a model whose columns have names and types: the converter knows numbers alone, by their places."""
    estimator = operator.raw_operator = copy.copy(operator.raw_operator)
    booster = estimator._Booster = estimator.get_booster().copy()
    booster.feature_names = booster.feature_types = None
    convert_xgboost(scope, operator, container)


register(xgboost.XGBClassifier, xgboost.XGBRegressor, _convert)
