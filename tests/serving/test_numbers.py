"""Numbers read without an object each are those that are read with one, and what is no plain list is left to others."""

import random
from collections.abc import Sequence

import numpy as np
import pytest

from serving import numbers
from serving.model import DTYPES, Tensor
from serving.values import from_list


def tensor(kind: str) -> Tensor:
    return Tensor("x", kind, DTYPES[kind], ("n",))


def read(kind: str, text: str, shape: list[int]) -> np.ndarray | None:
    """Read the list as it stands in a body, between other things."""
    body = f'{{"data":{text},"more":[1,2,3]}}'.encode()
    return numbers.Reader(tensor(kind), shape).read(body, 8, 8 + len(text))


@pytest.mark.parametrize("kind", [kind for kind in DTYPES if kind not in ("BOOL", "BYTES")])
@pytest.mark.parametrize("shape", [[1], [7], [2, 40], [300, 40], [20_000]])
def test_values_are_those_of_the_general_way(kind: str, shape: list[int]) -> None:
    chance = random.Random(3)  # noqa: S311
    count = int(np.prod(shape))
    if kind.startswith("FP"):
        values = [chance.choice([chance.gauss(0, 9), 5e-324, -0.0, 0, 2**53 + 1, 65504]) for _ in range(count)]
        values = [value if abs(value) < 65520 or kind != "FP16" else 1 for value in values]
    else:
        limits = np.iinfo(DTYPES[kind])
        values = [chance.choice([0, int(limits.min), int(limits.max)]) for _ in range(count)]
    wanted = from_list(tensor(kind), values, shape)
    for text in (str(values), str(wanted.reshape(shape).tolist()) if kind != "FP16" else str(values)):
        array = read(kind, text, shape)
        assert array is not None
        assert (array.dtype, array.shape, array.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())


def long(value: str, others: int = 9000) -> str:
    return "[" + "1," * others + value + "]"


@pytest.mark.parametrize(
    ("kind", "text", "shape"),
    [
        ("FP32", "[1,2]", [3]),
        ("FP32", "[1,2]", [10**30]),
        ("FP32", "[1,true]", [2]),
        ("FP32", "[1,null]", [2]),
        ("FP32", "[1,3.5e38]", [2]),
        ("FP32", "[1,1e400]", [2]),
        ("FP32", "[1,2,]", [2]),
        ("FP32", "[1,[2]]", [2]),
        ("FP32", "[]", [0]),
        ("FP16", "[1,65520]", [2]),
        ("FP64", "[18446744073709551616]", [1]),
        ("INT64", "[9223372036854775808]", [1]),
        ("INT64", "[1.0]", [1]),
        ("INT8", "[128]", [1]),
        ("UINT8", "[-1]", [1]),
        ("UINT64", "[-1]", [1]),
        ("BOOL", "[true]", [1]),
        ("FP32", long(""), [9001]),
        ("FP32", long("x"), [9001]),
        ("FP32", long("1"), [9000]),
        ("FP32", long("1"), [9002]),
        ("FP32", "[" + "1" * 40_000 + "]", [1]),
    ],
)
def test_what_is_not_plain_is_left_to_others(kind: str, text: str, shape: Sequence[int]) -> None:
    assert read(kind, text, list(shape)) is None


ROW = "[" + ",".join(["1"] * 40) + "]"


@pytest.mark.parametrize("rows", [2, 900])
@pytest.mark.parametrize(
    "change",
    [
        (f",{ROW}]", "]"),
        (f",{ROW}]", ",1]"),
        (f",{ROW}]", f",{ROW},]"),
        (f",{ROW}]", f",{ROW}1]"),
        (f",{ROW}]", f",[{ROW}]]"),
        (f",{ROW}]", f" {ROW}]"),
        (f",{ROW}]", ",[" + "[1]," * 39 + "1]]"),
        (f",{ROW}]", ",[" + "1," * 40 + "1]]"),
        (f"{ROW},{ROW}]", f"[{ROW[1:-1]},1],{ROW[:-3]}]]"),
    ],
)
def test_rows_that_are_not_as_their_shape_are_left_to_others(rows: int, change: tuple[str, str]) -> None:
    text = "[" + ",".join([ROW] * rows) + "]"
    assert read("FP32", text, [rows, 40]) is not None
    assert text.endswith(change[0])
    assert read("FP32", text.removesuffix(change[0]) + change[1], [rows, 40]) is None
