"""LightGBM: `fit` returns a fitted `LGBMClassifier` or `LGBMRegressor`, or a pipeline that ends with one."""

from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

from training.frameworks.tables import answers, export, prepare, register

__all__ = ["answers", "export", "prepare"]

register(LGBMClassifier, LGBMRegressor, convert_lightgbm)
