"""Tables: CSV and Parquet files as columns by name, each value of the type that the model's document says."""

import csv
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.columns import DTYPES
from training.document import Column, Model
from training.errors import TrainingError

_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_WIDEST = np.iinfo(np.int64)
_MOST = 20


def read(file: Path, model: Model) -> dict[str, NDArray[Any]]:
    """Return all columns of a table by name.

    Raise TrainingError with every column in which a value is not of its type: in how many rows, and the first one.
    """
    columns = {column.name: column for column in (*model.inputs, model.target)}
    name = str(model.source)
    return _parquet(file, name, columns) if name.endswith(".parquet") else _csv(file, name, columns)


def _csv(file: Path, name: str, columns: Mapping[str, Column]) -> dict[str, NDArray[Any]]:
    try:
        # A byte order mark is no part of the first column's name.
        with file.open(encoding="utf-8-sig", newline="") as stream:
            texts, lines = _cells(csv.reader(stream, strict=True), name)
    except UnicodeDecodeError as error:
        raise TrainingError(f"{name}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except csv.Error as error:
        raise TrainingError(f"{name}: not a table of comma-separated values: {error}") from None
    problems: list[str] = []
    table = {title: _typed(title, values, lines, columns.get(title), problems) for title, values in texts.items()}
    _raise(name, problems)
    return table


def _cells(reader: Any, name: str) -> tuple[dict[str, Sequence[str]], list[int]]:
    """Return the cells of each column as texts, and the line of each row."""
    header: list[str] = next(reader, [])
    if not header or len(set(header)) < len(header) or "" in header:
        raise TrainingError(f"{name}:1: the first line names the columns, each by a name of its own; it has {header}")
    rows, lines, before = [], [], reader.line_num
    for row in reader:
        # A quoted value may have several lines.
        line, before = before + 1, reader.line_num
        # An empty line is no row.
        if not row:
            continue
        if len(row) != len(header):
            raise TrainingError(f"{name}:{line}: {len(row)} values, there are {len(header)} columns")
        rows.append(row)
        lines.append(line)
    if not rows:
        raise TrainingError(f"{name}: it has no rows")
    return dict(zip(header, zip(*rows, strict=True), strict=True)), lines


def _typed(
    title: str, texts: Sequence[str], lines: Sequence[int], column: Column | None, problems: list[str]
) -> NDArray[Any]:
    """Return a column's cells with the type of the document; a further one is of numbers where all cells are."""
    if column is None:
        return _guessed(texts)
    parse = _parser(column)
    if parse is None:
        return np.array(texts, np.object_)
    try:
        values = [parse(text) for text in texts]
    except ValueError:
        wrong = [at for at, text in enumerate(texts) if not _parses(parse, text)]
        first = wrong[0]
        what = "missing" if texts[first] == "" else f"{texts[first]!r} is no {column.datatype}"
        problems.append(f"{title}: {len(wrong)} of {len(texts)} rows, line {lines[first]} is the first: {what}")
        return np.array([])
    # Numbers in full width: the contract says which ones are not finite in their own.
    return _shaped(np.array(values, np.float64 if parse is _number else DTYPES[column.datatype]), column)


def _guessed(texts: Sequence[str]) -> NDArray[Any]:
    for parse in (_integer, _number):
        try:
            return np.array([parse(text) for text in texts])
        except ValueError:
            continue
    return np.array(texts, np.object_)


def _parser(column: Column) -> Callable[[str], Any] | None:
    if column.datatype == "BYTES":
        return None
    if column.datatype == "BOOL":
        return _truth
    return _number if column.datatype.startswith("FP") else partial(_integer, limits=np.iinfo(DTYPES[column.datatype]))


def _parses(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _number(text: str) -> float:
    return float(_plain(text)) if text else np.nan


def _integer(text: str, limits: "np.iinfo[Any]" = _WIDEST) -> int:
    number = int(_plain(text))
    if not limits.min <= number <= limits.max:
        raise ValueError(text)
    return number


def _plain(text: str) -> str:
    # Python alone takes 1_000 for a number.
    if "_" in text:
        raise ValueError(text)
    return text


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError(text)
    return _TRUTH[text.lower()]


def _shaped(values: NDArray[Any], column: Column) -> NDArray[Any]:
    """Return a table's column in the shape of the document, where that is one value, too."""
    return values.reshape(-1, 1) if column.shape == (1,) and values.ndim == 1 else values


def _parquet(file: Path, name: str, columns: Mapping[str, Column]) -> dict[str, NDArray[Any]]:
    try:
        # In the images of models that ask for it alone: it is larger than all else that the runner needs for tables.
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise TrainingError(
            f"{name}: Parquet needs pyarrow; write it into the model's requirements.in, and run `make lock`"
        ) from None
    try:
        table = parquet.read_table(file)
    except (ArrowException, OSError) as error:
        raise TrainingError(f"{name}: not a Parquet file: {error}") from None
    problems: list[str] = []
    given = {title: _values(title, table[title], problems) for title in table.column_names}
    _raise(name, problems)
    return {title: _shaped(given[title], columns[title]) if title in columns else given[title] for title in given}


def _values(title: str, column: Any, problems: list[str]) -> NDArray[Any]:
    """Return a column; missing numbers are NaN, missing texts None, and lists of one length a further size."""
    kind = str(column.type)
    if column.null_count and not kind.startswith(("float", "double", "half", "string", "large_string", "dictionary")):
        problems.append(f"{title}: {column.null_count} of {len(column)} rows are missing, and {kind} has no such value")
        return np.array([])
    if "list" in kind or kind.startswith(("string", "large_string", "dictionary")):
        try:
            return np.array(column.to_pylist(), None if "list" in kind else np.object_)
        except ValueError:
            problems.append(f"{title}: its rows are lists of different lengths")
            return np.array([])
    values: NDArray[Any] = column.to_numpy()
    return values


def _raise(name: str, problems: Sequence[str]) -> None:
    if problems:
        raise TrainingError(f"{name}: {'; '.join(problems[:_MOST])}; correct the data, or the model's document")
