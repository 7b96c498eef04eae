"""Tables: each value is of the type that the document says, or its column, line and rule are named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import MODEL
from training.columns import check
from training.document import Column, Model
from training.errors import TrainingError
from training.table import read

TEXT = """\
age,pupils,colour,works,wage,day,weight,note
16.5,3,red,true,1,2026-01-02,1,"two
lines"
,4,,FALSE,0,2026-01-03,2.5,
70,5,"blue, dark",1,1,2026-01-01,3,none
"""
PEOPLE = replace(
    MODEL,
    source="people.csv",
    inputs=(
        Column("age", "FP32", missing=True),
        Column("pupils", "INT64", (1,)),
        Column("colour", "BYTES", missing=True),
        Column("works", "BOOL"),
    ),
    target=Column("wage", "INT64", classes=2),
)


def table(folder: Path, text: str | bytes, model: Model = PEOPLE) -> dict[str, Any]:
    file = folder / str(model.source)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(file, model)


def require_people(columns: dict[str, Any]) -> None:
    checked = check(PEOPLE, columns)
    assert checked["age"].dtype == np.float32
    assert np.array_equal(checked["age"], np.array([16.5, np.nan, 70], np.float32), equal_nan=True)
    assert checked["pupils"].tolist() == [[3], [4], [5]]
    assert checked["colour"].tolist() == ["red", "", "blue, dark"]
    assert checked["works"].tolist() == [True, False, True]
    assert checked["wage"].tolist() == [1, 0, 1]


def test_columns_have_the_types_of_the_document(tmp_path: Path) -> None:
    columns = table(tmp_path, TEXT)
    require_people(columns)
    assert columns["weight"].tolist() == [1, 2.5, 3], "a further column of numbers"
    assert columns["day"].tolist() == ["2026-01-02", "2026-01-03", "2026-01-01"]


def test_line_endings_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    require_people(table(tmp_path, b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("16.5", "old", "people.csv: age: 1 of 3 rows, line 2 is the first: 'old' is no FP32"),
        ("70,5", "1_0,5_0", "age: 1 of 3 rows, line 5 is the first: '1_0' is no FP32; pupils: 1 of 3 rows, line 5"),
        (",3,red", ",3.5,red", "pupils: 1 of 3 rows, line 2 is the first: '3.5' is no INT64"),
        (",3,red", ",,red", "pupils: 1 of 3 rows, line 2 is the first: missing"),
        (",true,", ",yes,", "works: 1 of 3 rows, line 2 is the first: 'yes' is no BOOL"),
        ("age,pupils", "age,age", "people.csv:1: the first line names the columns"),
        ("age,", ",", "people.csv:1: the first line names the columns"),
        ("3,none", "3", "people.csv:5: 7 values, there are 8 columns"),
        (',"two', ',"two"x', "people.csv: not a table of comma-separated values"),
        (TEXT, "", "people.csv:1: the first line names the columns"),
        (TEXT, "age,wage\n\n", "people.csv: it has no rows"),
    ],
)
def test_what_is_no_value_of_its_column_is_named(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in TEXT
    with pytest.raises(TrainingError) as raised:
        table(tmp_path, TEXT.replace(old, new))
    assert expected in str(raised.value)


def test_another_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"people\.csv: not UTF-8 at byte \d+; save it as UTF-8"):
        table(tmp_path, TEXT.replace("red", "grün").encode("latin-1"))


@pytest.mark.parametrize("value", ["400", "-4", "99999999999999999999"])
def test_a_number_beyond_its_type_is_named(value: str, tmp_path: Path) -> None:
    narrow = replace(PEOPLE, inputs=(Column("pupils", "UINT8"),))
    assert table(tmp_path, TEXT, narrow)["pupils"].dtype == np.uint8
    with pytest.raises(TrainingError, match=f"pupils: 1 of 3 rows, line 4 is the first: '{value}' is no UINT8"):
        table(tmp_path, TEXT.replace(",4,", f",{value},"), narrow)


def test_parquet_has_the_same_columns(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="it is in the images of models that ask for it")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "age": [16.5, None, 70],
        "pupils": [3, 4, 5],
        "colour": ["red", None, "blue, dark"],
        "works": [True, False, True],
        "wage": [1, 0, 1],
        "pixels": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    }
    model = replace(PEOPLE, source="people.parquet")
    parquet.write_table(arrow.table(columns), tmp_path / "people.parquet")
    given = read(tmp_path / "people.parquet", model)
    require_people(given)
    assert given["pixels"].shape == (3, 2)
    broken = columns | {"pupils": [3, None, 5], "pixels": [[1.0], [3.0, 4.0], []]}
    parquet.write_table(arrow.table(broken), tmp_path / "people.parquet")
    with pytest.raises(TrainingError) as raised:
        read(tmp_path / "people.parquet", model)
    assert "pupils: 1 of 3 rows are missing, and int64 has no such value" in str(raised.value)
    assert "pixels: its rows are lists of different lengths" in str(raised.value)
    with pytest.raises(TrainingError, match=r"people\.parquet: not a Parquet file"):
        table(tmp_path, "age\n1\n", model)


def test_parquet_without_its_package_says_where_to_write_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(TrainingError, match=r"Parquet needs pyarrow; write it into the model's requirements\.in"):
        table(tmp_path, "", replace(PEOPLE, source="people.parquet"))
