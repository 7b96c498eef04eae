"""Bodies of inference requests made from a seed: valid ones of all data types, and ones that are wrong in one way."""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.serving.made_models import MODELS, Input

_SPACES = ("", "", "", " ", "\n", "\t ", "\r\n")
_NOT_NUMBERS = ("null", "true", "false", '"1"', "NaN", "Infinity", "-Infinity", "[]", "{}", "[1]", '{"data":[1]}', "")
_ODD_NUMBERS = (
    "-0", "-0.0", "0e0", "1e5", "1E+2", "01", "+1", ".5", "1.", "1e400", "-1e400", "1e-400", "5e-324", "3.4028235e38",
    "3.4028236e38", "65504", "65520", "127", "128", "-129", "255", "256", "65536", "2147483648", "4294967296",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
    "1" * 40, "0.1" + "0" * 30, "123456789.123456789123456789", "-9223372036854775809", "0x10", "1_000", "--1", "1e",
)  # fmt: skip
Chance = random.Random


@dataclass
class Body:
    """The bytes of a body, and the headers that belong to it."""

    content: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)


def body(chance: Chance, model: str) -> Body:
    """Return a body for one of the models; two of three are valid."""
    maker = chance.choice([_plain] * 12 + [_written] * 4 + _WRONG)
    return maker(chance, model)


def _rows(chance: Chance, width: int) -> int:
    small = chance.choice([1, 1, 1, 2, 3, 8])
    return small if chance.random() < 0.9 else max(1, chance.choice([400, 3000, 9000]) // width)


def _sizes(chance: Chance, given: tuple[Input, ...]) -> dict[str, int]:
    width = max(one.width for one in given)
    rows = _rows(chance, width)
    return {name: rows for one in given for name in one.shape if isinstance(name, str)}


def _shape(one: Input, sizes: dict[str, int]) -> list[int]:
    return [sizes[size] if isinstance(size, str) else size for size in one.shape]


def _number(chance: Chance, kind: str) -> str:
    if kind == "BOOL":
        return chance.choice(["true", "false"])
    if kind.startswith("FP"):
        value = chance.choice([chance.random(), chance.gauss(0, 100), chance.randrange(-16, 17) / 16])
        return chance.choice([repr(value), f"{value:.6f}", f"{value:.2f}", f"{value:e}", str(round(value))])
    limits = np.iinfo(kind.lower())
    return str(chance.choice([chance.randint(0, 100), chance.randint(int(limits.min), int(limits.max)), limits.max]))


def _list(chance: Chance, values: list[str], shape: list[int], nested: bool) -> str:
    comma = "," + (chance.choice(_SPACES) if chance.random() < 0.3 else "")
    if nested:
        for size in reversed(shape[1:]):
            values = ["[" + comma.join(values[at : at + size]) + "]" for at in range(0, len(values), size)]
    return "[" + comma.join(values) + "]"


def _entry(chance: Chance, one: Input, sizes: dict[str, int], data: str | None = None) -> dict[str, str]:
    shape = _shape(one, sizes)
    if data is None:
        unlike = [_number(chance, one.kind) for _ in range(min(64, int(np.prod(shape))))]
        values = [chance.choice(unlike) for _ in range(int(np.prod(shape)))]
        data = _list(chance, values, shape, nested=chance.random() < 0.4)
    return {
        "name": json.dumps(one.name), "datatype": json.dumps(one.kind), "shape": json.dumps(shape), "data": data,
    }  # fmt: skip


def _object(chance: Chance, fields: dict[str, str]) -> str:
    names = list(fields)
    if chance.random() < 0.3:
        chance.shuffle(names)
    space = chance.choice(_SPACES)
    return "{" + ",".join(f'{space}"{name}":{space}{fields[name]}' for name in names) + space + "}"


def _fields(chance: Chance, model: str, entries: list[dict[str, str]]) -> dict[str, str]:
    fields = {"inputs": "[" + ",".join(_object(chance, entry) for entry in entries) + "]"}
    if chance.random() < 0.3:
        fields["id"] = chance.choice(['"a-1"', '"ü"', '"x\\u0041"', "null", "7", '""', json.dumps("i" * 129)])
    if chance.random() < 0.2:
        fields["outputs"] = chance.choice(
            ["[]", "null", *(json.dumps([{"name": name}]) for name in MODELS[model].outputs), '[{"name":"none"}]']
            + [json.dumps([{"name": name, "parameters": {"binary_data": True}}]) for name in MODELS[model].outputs]
        )
    if chance.random() < 0.2:
        flags = ["{}", "null", '{"binary_data_output":true}', '{"binary_data_output":1}', '{"data":[1,2]}', "[]"]
        fields["parameters"] = chance.choice(flags)
    return fields


def _plain(chance: Chance, model: str) -> Body:
    given = MODELS[model].inputs
    sizes = _sizes(chance, given)
    entries = [_entry(chance, one, sizes) for one in given]
    return Body(("{" + f'"inputs":[{",".join(_object(Plain(), entry) for entry in entries)}]' + "}").encode())


class Plain(Chance):
    """Chooses what most clients send."""

    def __init__(self) -> None:
        """Need no seed."""
        super().__init__(0)

    def random(self) -> float:
        """Return what leaves everything as it is."""
        return 1.0

    def choice(self, seq: Any) -> Any:
        """Return the first."""
        return seq[0]


def _written(chance: Chance, model: str) -> Body:
    given = list(MODELS[model].inputs)
    sizes = _sizes(chance, tuple(given))
    chance.shuffle(given)
    return Body(_object(chance, _fields(chance, model, [_entry(chance, one, sizes) for one in given])).encode())


def _odd_value(chance: Chance, model: str) -> Body:
    """One value, at any place, is another kind of JSON, or a number at a limit."""
    given = MODELS[model].inputs
    sizes, entries = _sizes(chance, given), []
    for one in given:
        shape = _shape(one, sizes)
        values = [_number(chance, one.kind)] * int(np.prod(shape))
        values[chance.randrange(len(values))] = chance.choice(_ODD_NUMBERS + _NOT_NUMBERS)
        entries.append(_entry(chance, one, sizes, _list(chance, values, shape, chance.random() < 0.3)))
    return Body(_object(chance, _fields(chance, model, entries)).encode())


def _odd_entry(chance: Chance, model: str) -> Body:
    """A field of an input is wrong, missing, twice or one too many."""
    given = MODELS[model].inputs
    sizes = _sizes(chance, given)
    entries = [_entry(chance, one, sizes) for one in given]
    entry = chance.choice(entries)
    name = chance.choice(["name", "datatype", "shape", "data", "data"])
    values = ["null", "7", '"x"', "[]", "[0]", "[1.5]", "[-1,3]", "[1]", "[1,3,1]", '["1"]', "{}", '"FP32"',
              '"INT8"', "[true,3]", "[9007199254740993,1]", "[[1,2],[3]]", "[[],[]]", "[1,[2]]", "[,]", "[1,]",
              "[1 2]"]  # fmt: skip
    how = chance.randrange(5)
    if how == 0:
        del entry[name]
    elif how == 1:
        entry["parameters"] = chance.choice(['{"binary_data_size":4}', '{"shared_memory_region":"a"}', "7", "{}"])
    elif how == 2:
        entries.append(dict(entry))
    else:
        entry[name] = chance.choice(values)
    content = _object(chance, _fields(chance, model, entries))
    if how == 4:
        content = content.replace(
            '"data"', chance.choice(['"data":[1],"data"', '"da\\u0074a"', '"x\\"data"', '"Data"'])
        )
    return Body(content.encode())


def _damaged(chance: Chance, model: str) -> Body:
    """A few bytes are others, missing, or too many."""
    content = bytearray(chance.choice([_plain, _written])(chance, model).content)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        at = chance.randrange(len(content))
        new = chance.choice(
            [b"", b"[", b"]", b"{", b"}", b",", b'"', b":", b"1", b"-", b".", b"e", b"\xff", b"\0", b" "]
        )
        content[at : at + chance.choice([0, 1, 1, 20])] = new
    return Body(bytes(content))


def _other_document(chance: Chance, _model: str) -> Body:
    texts = [b"", b"{}", b"[]", b"null", b"7", b'"x"', b'{"inputs":[]}', b'{"inputs":{}}', b'{"inputs":[7]}',
             b"\xef\xbb\xbf{}", b'{"inputs":[{}]}', b'{"data":[1,2,3]}',
             b"[" * 2000, b'{"a":' * 2000, b" " * 40_000, b"{}" + b" " * 10,
             b"{} {}", chance.randbytes(100), b'"data":[' * 300, b'{"data":[1],' * 5000, b"\xff" * 40_000]  # fmt: skip
    return Body(chance.choice(texts))


def _binary(chance: Chance, model: str) -> Body:
    given = MODELS[model].inputs
    sizes, entries, data = _sizes(chance, given), [], b""
    for one in given:
        shape = _shape(one, sizes)
        values = np.zeros(shape, one.dtype)
        values[...] = chance.choice([0, 1, 1, 1, np.nan, np.inf]) if one.kind.startswith("FP") else 1
        size = values.nbytes + chance.choice([0, 0, 0, 0, 1, -1])
        data += chance.choice([values.tobytes(), values.tobytes(), values.tobytes()[:-1] + b"\x02"])
        entry = _entry(chance, one, sizes, "[]") | {"parameters": json.dumps({"binary_data_size": size})}
        del entry["data"]
        entries.append(entry)
    head = _object(chance, _fields(chance, model, entries)).encode()
    length = chance.choice([str(len(head))] * 8 + [str(len(head) + 3), "0", "-1", "9" * 30, "x", "", "1e3"])
    return Body(head + data, [("Inference-Header-Content-Length", length)])


def _packed(chance: Chance, model: str) -> Body:
    content = chance.choice([_plain, _written, _damaged])(chance, model).content
    content = chance.choice([content, content, b" " * 3_000_000])
    encoding = chance.choice(["gzip", "gzip", "deflate", "identity", "GZIP", "br", "gzip, gzip", ""])
    if encoding.lower().startswith("gzip"):
        content = gzip.compress(content, 1, mtime=0)
    elif encoding == "deflate":
        content = zlib.compress(content, 1)
    content = chance.choice([content, content, content, content[:-3], content + b"x"])
    return Body(content, [("Content-Encoding", encoding)])


_WRONG: list[Callable[[Chance, str], Body]] = [
    *[_odd_value] * 3, *[_odd_entry] * 3, *[_damaged] * 3, _other_document, *[_binary] * 2, _packed,
]  # fmt: skip
