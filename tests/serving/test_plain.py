"""Which requests are plain, and that they are read as the general way reads them."""

import json

import pytest

from serving.memory import Budget
from serving.model import Model
from serving.plain import MOST_HEAD_BYTES, MOST_KNOWN, Bodies, Head, Heads
from serving.protocol import InferenceRequest, decode
from tests.serving.made_models import MODELS
from tests.support.onnx_models import doubling_model, sum_model, tensor

LINE = b"POST /v2/models/digits/infer HTTP/1.1\r\n"


def head(*lines: str) -> Head | None:
    data = LINE + b"".join(line.encode("latin-1") + b"\r\n" for line in lines) + b"\r\n{}"
    return Heads(frozenset({"/v2/models/digits/infer"}), 1000).read(data)


def test_a_plain_head_says_how_long_the_body_is_and_whose_it_is() -> None:
    lines = ("Host: x", "connection: Keep-Alive", "X-Request-ID: a-1", "Content-Length: 2", "Accept:")
    plain = head(*lines)
    assert plain is not None
    assert (plain.length, plain.request_id) == (2, "a-1")
    assert plain.end == len(LINE) + sum(len(line) + 2 for line in lines) + 2


@pytest.mark.parametrize(
    "line",
    [
        "Content-Length: 2",
        "Transfer-Encoding: chunked",
        "Connection: close",
        "Connection: keep-alive, upgrade",
        "Proxy-Connection: close",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "Content-Encoding: gzip",
        "Inference-Header-Content-Length: 2",
        "X-Request-Id: second",
        f"X-Long: {'a' * MOST_HEAD_BYTES}",
        "X: caf\u00e9",
        "X: a ",
        "X : a",
        " folded",
        "no colon",
        "X: a\nY: b",
        "X: a\rb",
        "Content-Length:\t2",
        "X-Request-Id:second",
        "",
    ],
)
def test_a_head_with_something_else_in_it_is_not_plain(line: str) -> None:
    assert head("X-Request-Id: a", "Content-Length: 2") is not None
    assert head("X-Request-Id: a", line, "Content-Length: 2") is None


@pytest.mark.parametrize("length", ["-1", "+2", "2 2", "", "1001", "9" * 30, "0x2", "\u00b2"])
def test_a_length_that_is_none_is_not_plain(length: str) -> None:
    assert head(f"Content-Length: {length}") is None


@pytest.mark.parametrize("request_id", ["i" * 129, "a\tb"])
def test_an_id_that_is_refused_is_not_plain(request_id: str) -> None:
    assert head(f"X-Request-Id: {request_id}", "Content-Length: 2") is None


def test_other_requests_and_parts_of_a_head_are_not_plain() -> None:
    heads = Heads(frozenset({"/v2/models/digits/infer"}), 1000)
    rest = b"Content-Length: 2\r\n\r\n{}"
    for line in (LINE.replace(b"POST", b"GET"), LINE.replace(b"1.1", b"1.0"), LINE.replace(b"infer", b"infer?a")):
        assert heads.read(line + rest) is None
    assert heads.read(LINE + rest[:-4]) is None
    assert heads.read(LINE + rest) is not None


def test_what_is_remembered_of_heads_has_an_end() -> None:
    heads = Heads(frozenset({"/v2/models/digits/infer"}), 1000)
    for number in range(3 * MOST_KNOWN):
        data = LINE + b"X-Other: %d\r\nX-Request-Id: %d\r\nContent-Length: 2\r\n\r\n{}" % (number, number)
        plain = heads.read(data)
        assert plain is not None
        assert plain.request_id == str(number)
    assert len(heads._known) <= MOST_KNOWN


@pytest.fixture(scope="module")
def doubling() -> Model:
    return Model(doubling_model())


def read(bodies: Bodies, content: bytes) -> tuple[InferenceRequest, tuple[int, ...]] | None:
    """Read a body that something stands around."""
    return bodies.read(b"}]" + content + b"]}", 2, 2 + len(content))


def body(*inputs: dict[str, object], **fields: object) -> bytes:
    return json.dumps({"inputs": inputs or [tensor([[1, 2, 3]])]} | fields).encode()


@pytest.mark.parametrize(
    "content",
    [
        body(),
        body(id="a"),
        body(id='a"b\\'),
        body(outputs=[{"name": "best"}]),
        body(parameters={"binary_data_output": False, "data": [1, 2]}),
        body(tensor([[1.5, -2e5, 3]] * 9)),
        b" " + body().replace(b",", b" ,\r\n").replace(b":", b" :\t") + b"\n",
    ],
)
def test_a_plain_body_is_read_as_by_the_general_way(doubling: Model, content: bytes) -> None:
    bodies, wanted = Bodies(doubling), decode(content, doubling)
    for _ in range(2):
        plain = read(bodies, content)
        assert plain is not None
        request, size = plain
        assert (request[0], *request[2:]) == (wanted[0], *wanted[2:])
        assert size == wanted.size
        assert {name: array.tolist() for name, array in request.feeds.items()} == {
            name: array.tolist() for name, array in wanted.feeds.items()
        }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"data":[1,2,3]}',
        body(tensor([[1, 2, 3]], datatype="INT8")),
        body(tensor([[1, 2, 3]], shape=[1, 4])),
        body(tensor([[1, 2, 3]], data=7)),
        body(tensor([[1, 2, 3]], data=["a", 2, 3])),
        body(tensor([[1, 2, 3]], parameters={"binary_data_size": 12})),
        body(tensor([[1, 2, 3]]), tensor([[1, 2, 3]])),
        body(id=7),
        body(outputs=[{"name": "none"}]),
        body().replace(b'"data"', b'"data": [1], "data"'),
        body().replace(b'"data"', b'"x\\"data"'),
        body().replace(b'"data"', b'"da\\u0074a"'),
        body().replace(b'"data"', b'"data": [1, 2, 3], "da\\u0074a"'),
        body()[:-1],
        body() + b"}",
        body(parameters={"data": [1, 2, 3]}).replace(b'{"inputs"', b'{"more": {"data": [1]}, "inputs"'),
    ],
)
def test_what_is_wrong_or_unusual_in_a_body_is_left_to_the_general_way(doubling: Model, content: bytes) -> None:
    bodies = Bodies(doubling)
    assert read(bodies, body()) is not None
    assert read(bodies, content) is None


def test_inputs_come_in_the_order_of_the_model() -> None:
    model = Model(MODELS["gather"].content)
    table = {"name": "table", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    given = {"name": "given", "datatype": "INT32", "shape": [1], "data": [1]}
    plain = read(Bodies(model), body(table, given))
    assert plain is not None
    request, size = plain
    assert list(request.feeds) == ["given", "table"]
    assert request.feeds["table"].tolist() == [[1, 2], [3, 4]]
    assert size == (1, 2, 2)
    assert read(Bodies(model), body(table, given | {"data": 7})) is None


def test_truth_values_are_left_to_the_general_way() -> None:
    kinds = {"left": "INT32", "right": "INT32", "keep": "UINT8", "drop": "BOOL"}
    given = [{"name": name, "datatype": kind, "shape": [1], "data": [1]} for name, kind in kinds.items()]
    assert read(Bodies(Model(sum_model())), body(*given)) is None


def test_memory_is_free_when_nobody_waits_for_it() -> None:
    budget = Budget(10)
    assert budget.free(10)
    assert budget.take(4)
    assert not budget.free(7)
