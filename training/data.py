"""A model's data: loaded, held against its document, parted, and known by its digest.

Needs NumPy only.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training import leakage, table
from training.author import Author, Rows, no_load
from training.columns import check
from training.document import Column, HeldOut, Model
from training.errors import TrainingError
from training.source import Bucket, opened

_FIFTHS = 5


@dataclass(frozen=True)
class Dataset:
    """A checked data set, its two disjoint parts, and the digest (``sha256:<hex>``) of its content.

    `source` is the file that it comes from, whose digest it then has; `notes` are what looks like leakage.
    """

    name: str
    train: Rows
    held_out: Rows
    digest: str
    source: str | None = None
    notes: tuple[str, ...] = ()


def load(model: Model, author: Author, buckets: Sequence[Bucket] = ()) -> Dataset:
    """Return the data: of the file that the document names, in the model's folder or in a bucket, else the author's.

    The author's `load` is given the file; without one it is a table. Raise TrainingError naming each column and row
    that breaks the document.
    """
    if model.source is None:
        return dataset(model, author.load())
    with opened(model, author.folder, buckets) as file:
        given = table.read(file.path, model) if author.load is no_load else author.load(file.path)
        return dataset(model, given, file.digest)


def dataset(model: Model, given: Mapping[str, NDArray[Any]], pinned: str | None = None) -> Dataset:
    """Return the rows, checked and parted; raise TrainingError as `load` does.

    `pinned` is the digest of the file that they come from, if they come from one.
    """
    columns = check(model, given)
    content = pinned or digest(columns)
    if model.digest not in (None, content):
        raise TrainingError(
            f"data of {model.name}: its digest is {content}, the model's document pins {model.digest}; restore the "
            "data, or pin the new digest when it is meant to be trained on"
        )
    inputs = {column.name: columns[column.name] for column in model.inputs}
    further = {name: values for name, values in columns.items() if name not in (*inputs, model.target.name)}
    rows = Rows(inputs, _classes(model.target, columns[model.target.name]), further)
    notes = [*leakage.require_inputs(model, columns)]
    held_out = _held_out(model.held_out, columns, list(inputs))
    # By row, equal ones stand on one side.
    if model.held_out.by != "row":
        notes += leakage.equal_rows(_contents([*inputs.values(), columns[model.target.name]]), held_out)
    if held_out.all() or not held_out.any():
        raise TrainingError(
            f"data of {model.name}: {int(held_out.sum())} of {len(rows)} rows are held out, and both parts need some; "
            "give more rows, or another share in data.heldOut"
        )
    return Dataset(model.name, rows.of(~held_out), rows.of(held_out), content, model.source, tuple(notes))


def _classes(target: Column, values: NDArray[Any]) -> NDArray[Any]:
    """Return categories as their places in the document's list: the classes, in the order of a model's answers."""
    if target.categories is None:
        return values
    places = {category: place for place, category in enumerate(target.categories)}
    return np.array([places[value] for value in values.tolist()], np.int64)


def digest(columns: Mapping[str, NDArray[Any]]) -> str:
    """Return ``sha256:<hex>`` over each column's name, type, shape and content, the same on every platform."""
    state = hashlib.sha256()
    for name, values in sorted(columns.items()):
        state.update(f"{name} {_portable(values).dtype.str} {list(values.shape)}\n".encode())
        for content in _contents([values]):
            state.update(content)
    return f"sha256:{state.hexdigest()}"


def _held_out(rule: HeldOut, columns: Mapping[str, NDArray[Any]], inputs: Sequence[str]) -> NDArray[np.bool_]:
    """Return which rows are held out.

    By row and by group a hash decides: a row stays on its side when others are added, and neither equal rows nor
    rows of one group stand on both sides. By time it is the latest rows; equal times stay together.
    """
    if rule.by == "time":
        times = columns[str(rule.column)]
        first = np.sort(times)[int(len(times) * (1 - rule.share))]
        return np.asarray(times >= first)
    deciding = [columns[name] for name in ([str(rule.column)] if rule.by == "group" else inputs)]
    shares = [_position(content) < rule.share for content in _contents(deciding)]
    return np.array(shares, np.bool_)


def _position(content: bytes) -> float:
    """Return where in [0, 1) a content's hash puts it: first among fifths, then within its fifth.

    So with the usual share of a fifth what is held out is what is divisible by five.
    """
    number = int.from_bytes(hashlib.sha256(content).digest()[:4])
    return (number % _FIFTHS + (number // _FIFTHS) * _FIFTHS / 2**32) / _FIFTHS


def _contents(columns: Sequence[NDArray[Any]]) -> Iterator[bytes]:
    """Yield the content of each row."""
    portable = [_portable(values) for values in columns]
    for row in range(len(portable[0])):
        yield b"".join(_content(values[row]) for values in portable)


def _portable(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as little-endian, and texts as objects."""
    if values.dtype.kind in "OU":
        return values.astype(object)
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))


def _content(value: Any) -> bytes:
    if isinstance(value, np.ndarray) and value.dtype == object:
        return b"".join(map(_content, value.reshape(-1)))
    if isinstance(value, np.ndarray | np.generic):
        return value.tobytes()
    text = b"" if value is None else str(value).encode()
    # Its length first: ("ab", "c") is not ("a", "bc").
    return b"%d:%b" % (-1 if value is None else len(text), text)


def column_statistics(values: NDArray[Any]) -> dict[str, list[float]]:
    """Return mean and standard deviation of each number of a row's value, flat, to measure drift against.

    Values that are missing do not count.
    """
    wide = values.reshape(len(values), -1).astype(np.float64)
    return {
        "mean": np.round(np.nanmean(wide, axis=0), 6).tolist(),
        "std": np.round(np.nanstd(wide, axis=0), 6).tolist(),
    }
