"""What clients put on the wire: broken HTTP, Triton's binary tensors, packed bodies."""

import gzip
import json
import socket
import struct
import zlib
from collections.abc import Callable

import pytest

from tests.support import plain_http
from tests.support.onnx_models import tensor
from tests.support.server import RELEASE, Server

MODEL = "/v2/models/digits"


def raw(server: Server, *pieces: bytes) -> bytes:
    """Send bytes as they are, and return the first answer."""
    with socket.create_connection(
        ("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=plain_http.PATIENCE
    ) as client:
        for piece in pieces:
            client.sendall(piece)
        answer = b""
        while b"\r\n\r\n" not in answer or len(answer) < _end(answer):
            more = client.recv(65536)
            if not more:
                break
            answer += more
        return answer


def _end(answer: bytes) -> int:
    head = answer.partition(b"\r\n\r\n")[0].lower()
    return len(head) + 4 + int(head.partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)


HEAD = f"POST {MODEL}/infer HTTP/1.1\r\nhost: test\r\n".encode()


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([HEAD, b"transfer-encoding: chunked\r\n\r\n", b"zz\r\n{}\r\n0\r\n\r\n"], b"400"),
        ([HEAD, b"transfer-encoding: chunked\r\n\r\n", b"ffffffffffffffffff\r\n{}"], b"400"),
        ([HEAD, b"content-length: -2\r\n\r\n{}"], b"400"),
        ([HEAD, b"content-length: 99999999999\r\n\r\n{}"], b"413"),
        ([HEAD, b"inference-header-content-length: -1\r\ncontent-length: 2\r\n\r\n{}"], b"400"),
        ([HEAD, b"x: ", *[b"a" * 10_000] * 8], b"431"),
    ],
)
def test_what_is_wrong_in_http_is_the_clients_fault(server: Server, pieces: list[bytes], status: bytes) -> None:
    assert raw(server, *pieces).split()[1] == status


# As tritonclient.http 2.73 sends it by default: binary input, all outputs binary.
TRITON = (
    b"POST /v2/models/digits/infer HTTP/1.1\r\nUser-Agent: python/gevent-http-client-2.6.1\r\n"
    b"Inference-Header-Content-Length: 150\r\nHost: 127.0.0.1:38611\r\nContent-Length: 174\r\n\r\n"
    b'{"id":"r1","inputs":[{"name":"pixels","shape":[2,3],"datatype":"FP32","parameters":{"binary_data_size":24}}],'
    b'"parameters":{"binary_data_output":true}}'
    b"\0\0\x80?\0\0\0@\0\0@@\0\0@@\0\0\0@\0\0\xc0?"
)


def test_the_request_of_a_triton_client_is_answered_in_its_form(server: Server) -> None:
    head, _, body = raw(server, TRITON).partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.splitlines()[1:])
    size = int(headers[b"inference-header-content-length"])
    assert (headers[b"content-type"], int(headers[b"content-length"])) == (b"application/octet-stream", len(body))
    assert json.loads(body[:size]) == {
        "model_name": "digits",
        "model_version": RELEASE,
        "id": "r1",
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [2, 3], "parameters": {"binary_data_size": 24}},
            {"name": "best", "datatype": "INT64", "shape": [2], "parameters": {"binary_data_size": 16}},
        ],
    }
    assert struct.unpack("<6f2q", body[size:]) == (2, 4, 6, 6, 4, 3, 2, 0)
    assert "binary_tensor_data" in plain_http.get(f"{server.url}/v2").json()["extensions"]


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("rows", [1, 20_000])
def test_a_packed_body_is_unpacked(server: Server, encoding: str, pack: Callable[[bytes], bytes], rows: int) -> None:
    content = pack(json.dumps({"inputs": [tensor([[1.0, 2.0, 3.0]] * rows)]}).encode())
    headers = {"content-encoding": encoding}
    response = plain_http.post(f"{server.url}{MODEL}/infer", content=content, headers=headers)
    assert response.json()["outputs"][1]["data"] == [2] * rows
    damaged = plain_http.post(f"{server.url}{MODEL}/infer", content=content[:-3], headers=headers)
    assert (damaged.status_code, damaged.json()["error"]) == (400, f"the body is not one whole {encoding} stream")


def test_a_body_that_is_too_large_when_unpacked_is_refused(server: Server) -> None:
    content = gzip.compress(b" " * 100_000_000)
    response = plain_http.post(f"{server.url}{MODEL}/infer", content=content, headers={"content-encoding": "gzip"})
    assert response.status_code == 413
    assert "larger than 1000000 bytes" in response.json()["error"]


def test_another_encoding_is_refused_with_those_that_are_accepted(server: Server) -> None:
    response = plain_http.post(f"{server.url}{MODEL}/infer", content=b"{}", headers={"content-encoding": "br"})
    assert (response.status_code, response.headers["accept-encoding"]) == (415, "gzip, deflate")
