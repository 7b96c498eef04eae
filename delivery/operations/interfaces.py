"""Inputs and outputs of a model, as a release says them: those of its file, and those of its document."""

from typing import Any

from delivery.errors import DeliveryError
from infra.contract.model import Model as Document
from serving.model import Model

Interface = dict[str, list[dict[str, Any]]]


def interface_of(model: Model | Document) -> Interface:
    """Return the tensors of both sides; the first dimension, the rows, is open in a document."""
    if isinstance(model, Model):
        return {side: [one.metadata() for one in getattr(model, side)] for side in ("inputs", "outputs")}
    return {
        side: [
            {"name": name, "datatype": column.datatype.value, "shape": [-1, *column.shape]}
            for name, column in getattr(model, side).items()
        ]
        for side in ("inputs", "outputs")
    }


def require_interface(file: str, document: Document, real: Interface) -> None:
    """Raise DeliveryError where a model's file has other inputs or outputs than its document, which is `file`, says."""
    for side, stated in interface_of(document).items():
        if stated != real[side]:
            raise DeliveryError(
                f"{file}: its {side} are {_words(stated)}, those of the model's file {_words(real[side])}; change the "
                "one or the other"
            )


def _words(tensors: list[dict[str, Any]]) -> str:
    return ", ".join(f"{tensor['name']} {tensor['datatype']} {tensor['shape']}" for tensor in tensors)
