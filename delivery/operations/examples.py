"""A release's example rows: fetched from an environment's store, checked by digest, as arrays and as requests."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import ValidationError

from delivery.clients import store
from delivery.errors import DeliveryError
from delivery.session import Session
from infra.contract.artefact import ExampleRows
from infra.contract.examples import Examples, Values
from infra.contract.release import DataType, Release

_FLOATS = {"BOOL": "bool", "FP16": "float16", "FP32": "float32", "FP64": "float64"}


def of_release(session: Session, environment: str, release: Release) -> Examples:
    """Return the rows of a release; raise DeliveryError when it names none, or the store has others."""
    if release.examples is None:
        model, identity = release.metadata.model, release.metadata.release
        raise DeliveryError(
            f"release {identity} of {model} has no example rows: it was made before training published them; ask with "
            f"a request of your own, `stellwerk predict {model} --env {environment} --input request.json`, or train "
            "and release the model again"
        )
    with session.store(environment) as source:
        return load(source, release.examples)


def load(source: store.Store, stored: ExampleRows) -> Examples:
    """Return the document; raise DeliveryError when it is absent, has another digest, or is no such document."""
    content = io.BytesIO()
    store.fetch(source, stored, content)
    place = f"{source.name}: {source.bucket}/{stored.key}"
    try:
        examples = Examples.model_validate_json(content.getvalue())
    except ValidationError as error:
        keys = ", ".join(".".join(map(str, detail["loc"])) or "the text" for detail in error.errors())
        raise DeliveryError(f"{place}: not a document of example rows, wrong: {keys}; train again") from None
    if examples.rows != stored.rows:
        raise DeliveryError(f"{place}: has {examples.rows} rows, expected are {stored.rows}; train again")
    return examples


def array(values: Values) -> NDArray[Any]:
    """Return the values as an array of their shape and data type."""
    if values.datatype is DataType.BYTES:
        return np.array(values.data, object).reshape(values.shape)
    dtype = _FLOATS.get(values.datatype, values.datatype.lower())
    # Through objects, so that no large integer becomes a float on the way; None is NaN.
    return np.array(values.data, object).astype(dtype).reshape(values.shape)


def inputs(examples: Examples, start: int = 0, end: int | None = None) -> dict[str, NDArray[Any]]:
    """Return the rows from `start` to before `end` by input name."""
    return {values.name: array(values)[start:end] for values in examples.inputs}


def body(examples: Examples, start: int, end: int) -> bytes:
    """Return a request (Open Inference Protocol v2) with the rows from `start` to before `end`."""
    datatypes: Mapping[str, str] = {values.name: values.datatype for values in examples.inputs}
    return request(inputs(examples, start, end), datatypes)


def request(feeds: Mapping[str, NDArray[Any]], datatypes: Mapping[str, str]) -> bytes:
    """Return a request (Open Inference Protocol v2) with rows by input name."""
    tensors = [
        {"name": name, "datatype": datatypes[name], "shape": list(rows.shape), "data": _flat(rows)}
        for name, rows in feeds.items()
    ]
    return orjson.dumps({"inputs": tensors}, option=orjson.OPT_SERIALIZE_NUMPY)


def _flat(rows: NDArray[Any]) -> Any:
    """Return values as the JSON encoder takes them: it knows arrays of numbers alone, and those of 16 bits not."""
    flat = rows.reshape(-1)
    return flat.tolist() if flat.dtype == object else flat.astype(np.float32) if flat.dtype == np.float16 else flat
