"""The model's document, `models/<name>/model.json` in the image: parameters and gates, checked before it was built."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError
from training.evaluation import Gate

FOLDER = Path(__file__).resolve().parents[1] / "models"


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter with its limits, None where there is none; `kind` is int or float."""

    name: str
    kind: type[int] | type[float]
    default: int | float
    minimum: int | float | None
    exclusive_minimum: int | float | None
    maximum: int | float | None
    description: str

    def allows(self, value: int | float) -> bool:
        """Return whether the value is within the limits; NaN is not."""
        return (
            value == value
            and (self.minimum is None or value >= self.minimum)
            and (self.exclusive_minimum is None or value > self.exclusive_minimum)
            and (self.maximum is None or value <= self.maximum)
        )


@dataclass(frozen=True)
class Model:
    """What a training run reads of a model's document."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    gates: tuple[Gate, ...]


def load_models(folder: Path = FOLDER) -> dict[str, Model]:
    """Return the models of the image by name; raise TrainingError when a document cannot be read."""
    return {model.name: model for model in map(_load, sorted(folder.glob("*/model.json")))}


def _load(file: Path) -> Model:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        return Model(
            name=document["name"],
            description=document["description"],
            parameters=tuple(_parameter(name, values) for name, values in document["parameters"].items()),
            gates=tuple(Gate(**gate) for gate in document["gates"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{file}: not a model's document ({error!r}); build the image again") from error


def _parameter(name: str, values: Mapping[str, object]) -> Parameter:
    given = {key: values[key] for key in ("default", "minimum", "maximum", "description")}
    kind = int if values["type"] == "integer" else float
    return Parameter(name=name, kind=kind, exclusive_minimum=values["exclusiveMinimum"], **given)  # type: ignore[arg-type]
