"""scikit-learn: `fit` returns a fitted estimator or pipeline."""

from collections.abc import Callable
from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx.common._registration import get_converter, get_shape_calculator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from training.frameworks.tables import answers, export, prepare

__all__ = ["answers", "export", "prepare"]


class _WholeNumbers:
    """A container of nodes that writes truth values as 0 and 1: the installed protobuf takes no others for numbers."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        """Return what the container has."""
        return getattr(self._container, name)

    def add_node(self, *arguments: Any, nodes_missing_value_tracks_true: list[Any], **attributes: Any) -> None:
        """Add a node of trees."""
        tracks = [int(value) for value in nodes_missing_value_tracks_true]
        self._container.add_node(*arguments, nodes_missing_value_tracks_true=tracks, **attributes)


def _with_whole_numbers(name: str) -> Callable[[Any, Any, Any], None]:
    convert = get_converter(name)
    return lambda scope, operator, container: convert(scope, operator, _WholeNumbers(container))


for _estimator, _options in (
    (HistGradientBoostingClassifier, {name: [True, False] for name in ("zipmap", "nocl", "raw_scores")}),
    (HistGradientBoostingRegressor, None),
):
    _name = f"Sklearn{_estimator.__name__}"
    update_registered_converter(
        _estimator, _name, get_shape_calculator(_name), _with_whole_numbers(_name), options=_options
    )
