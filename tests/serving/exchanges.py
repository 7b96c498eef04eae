"""What clients say on a connection, made from a seed, and what a server says to it, made comparable."""

import random
import re
import socket
import time
from dataclasses import dataclass

from tests.serving.made_bodies import Body, Chance, body
from tests.serving.made_models import MODELS
from tests.support.server import RELEASE

_SECONDS = 60.0
# Between pieces, so that the server mostly sees them one by one.
_PAUSE = 0.001
_DATE = re.compile(rb"^date: [^\r]*\r\n", re.MULTILINE)
_MADE_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_LENGTH = re.compile(rb"content-length: (\d+)\r\n")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_COMMON = (
    ("Host", "127.0.0.1"), ("Accept", "*/*"), ("Accept-Encoding", "gzip"), ("Connection", "keep-alive"),
    ("User-Agent", "made"), ("Content-Type", "application/json"),
)  # fmt: skip


@dataclass(frozen=True)
class Exchange:
    """Pieces to send to a model's server, and the method of each answer to wait for; None: until nothing more comes."""

    model: str
    pieces: tuple[bytes, ...]
    methods: tuple[bytes, ...] | None


def exchange(number: int, seed: int = 1) -> Exchange:
    """Return the exchange of a number; equal numbers and seeds make equal exchanges."""
    chance = random.Random(seed * 1_000_000 + number)  # noqa: S311
    model = chance.choice(list(MODELS))
    kind = chance.randrange(20)
    if kind < 14:
        requests = [_infer(chance, model, f"{number}-{index}") for index in range(chance.choice([1, 1, 1, 2, 3]))]
    elif kind < 16:
        requests = [_other(chance, f"{number}-{index}") for index in range(chance.choice([1, 2]))]
    else:
        requests = [_infer(chance, model, f"{number}-a"), _odd(chance, model), _infer(chance, model, f"{number}-b")]
        del requests[chance.randrange(2, 4) :]
    sent = b"".join(requests)
    cut = chance.random() < 0.05
    if cut:
        sent = sent[: chance.randrange(1, len(sent))]
    methods = None if cut or kind >= 16 else tuple(request.split(b" ", 1)[0] for request in requests)
    # What is refused with the connection ends answers under way, too: each of its requests comes at once, or alone.
    pieces = _pieces(chance, requests, sent) if kind < 16 else chance.choice([(sent,), tuple(requests)])
    return Exchange(model, pieces, methods)


def _pieces(chance: Chance, requests: list[bytes], sent: bytes) -> tuple[bytes, ...]:
    how = chance.randrange(4)
    # What is sent on a connection that the server has ended by then resets it, and answers on their way are lost.
    if how < 2 or len(sent) < 2 or any(b"onnection: close" in request for request in requests[:-1]):
        return (sent,)
    if how == 2:
        cuts = [len(requests[0]), *sorted(chance.sample(range(1, len(sent)), min(3, len(sent) - 1)))]
    else:
        cuts = [sent.find(b"\r\n\r\n") + 4]
    cuts = sorted({at for at in cuts if 0 < at < len(sent)})
    return tuple(sent[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(sent)], strict=True))


def _request(line: str, headers: list[tuple[str, str]], content: bytes) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{line}\r\n{head}\r\n".encode("latin-1") + content


def _headers(chance: Chance, given: Body, request_id: str) -> list[tuple[str, str]]:
    headers = list(_COMMON[: chance.choice([1, 3, 6, 6])])
    ids = [*[request_id] * 12, *[None] * 3, "", "i" * 129, "a b", "caf\u00e9", "\tx"]
    if (chosen := chance.choice(ids)) is not None:
        headers.append(("X-Request-Id", chosen))
    headers += given.headers
    if chance.random() < 0.1:
        headers.append(chance.choice([
            ("Connection", "close"), ("Expect", "100-continue"), ("X-Other", "a" * 3000), ("X-Request-Id", "second"),
            ("Connection", "Keep-Alive, x"), ("Content-Encoding", "br"), ("Upgrade", "h2c"),
            ("traceparent", "00-1-1-01"), ("Content-Encoding", ""), ("Cookie", "a=b; c=d"),
            ("X-Empty", ""), ("Accept", "text/html"),
        ]))  # fmt: skip
    if chance.random() < 0.2:
        headers = [(name.lower(), value) for name, value in headers]
    if chance.random() < 0.2:
        chance.shuffle(headers)
    return headers


def _infer(chance: Chance, model: str, request_id: str) -> bytes:
    given = body(chance, model)
    headers = _headers(chance, given, request_id)
    line = chance.choice(["POST {}/infer HTTP/1.1"] * 8 + [f"POST {{}}/versions/{RELEASE}/infer HTTP/1.1"])
    line = line.format("/v2/models/digits")
    if chance.random() < 0.1:
        return _request(line, [*headers, ("Transfer-Encoding", "chunked")], _chunks(chance, given.content))
    headers.insert(chance.randrange(len(headers) + 1), ("Content-Length", str(len(given.content))))
    return _request(line, headers, given.content)


def _chunks(chance: Chance, content: bytes) -> bytes:
    size = chance.choice([len(content) + 1, max(1, len(content) // 3), 7 if len(content) < 3000 else 5000])
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _other(chance: Chance, request_id: str) -> bytes:
    model = "/v2/models/digits"
    paths = ["/", "/v2", "/v2/", "/v2/health/live", "/v2/health/ready", model, f"{model}/ready", f"{model}/infer",
             f"{model}/versions/{RELEASE}", f"{model}/versions/v9/infer", "/v2/models/letters/infer", "*",
             "/v2/health/live?x=1", "/v2/health%2Flive", "/v2/he%61lth/live", "http://127.0.0.1/v2",
             "/v2//health/live", f"{model}/infer?a=b"]  # fmt: skip
    method = chance.choice(["GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE"])
    content = b"{}" if method in ("POST", "PUT") else b""
    headers = [*_COMMON[:4], ("X-Request-Id", request_id), ("Content-Length", str(len(content)))]
    return _request(f"{method} {chance.choice(paths)} HTTP/1.1", headers, content)


def _odd(chance: Chance, model: str) -> bytes:
    """Return what is no HTTP request, or an unusual one; a client that sends it ends its side after it."""
    given = body(chance, model).content
    line, host = "POST /v2/models/digits/infer HTTP/1.1", ("Host", "x")
    length, lengths = str(len(given)), ["-1", "+2", "0x2", " 2 ", "", "2, 2", "9" * 30]
    return chance.choice([
        _request(line.replace("1.1", "1.0"), [host, ("Content-Length", length)], given),
        _request(line.replace("1.1", "1.0"), [host, ("Content-Length", length), ("Connection", "keep-alive")], given),
        _request(line.replace("1.1", "2.0"), [host, ("Content-Length", length)], given),
        _request(line, [host], given),
        _request(line, [("Content-Length", length)], given),
        _request(line, [host, ("Content-Length", length), ("Content-Length", length)], given),
        _request(line, [host, ("Content-Length", length), ("Content-Length", "1")], given),
        _request(line, [host, ("Content-Length", chance.choice(lengths))], given),
        _request(line, [host, ("Content-Length", "0" + length)], given),
        _request(line, [host, ("Content-Length", str(10**9))], b"{}"),
        _request(line, [host, ("Content-Length", length), ("Transfer-Encoding", "chunked")], _chunks(chance, given)),
        _request(line, [host, ("Transfer-Encoding", chance.choice(["gzip, chunked", "gzip", "identity"]))], given),
        _request(line, [host, ("Transfer-Encoding", "chunked")], b"zz\r\n{}\r\n0\r\n\r\n"),
        _request(line, [host, ("X-Long", "a" * 70_000), ("Content-Length", length)], given),
        _request(line, [host, ("Connection", "upgrade"), ("Upgrade", "websocket"), ("Content-Length", length)], given),
        _request(line, [("Host ", "x"), ("Content-Length", length)], given),
        _request(line, [host, ("X", "a\r\n b"), ("Content-Length", length)], given),
        _request(line, [host, ("X", "a\0b"), ("Content-Length", length)], given),
        _request(line, [host, ("X", "a\x01b\xff"), ("Content-Length", length)], given),
        _request(line, [host, ("Content-Length", length)], given).replace(b"\r\n", b"\n", 4),
        _request(line.replace(" ", "  ", 1), [host, ("Content-Length", length)], given),
        _request(line.replace("POST", chance.choice(["post", "PO ST", "BREW", ""])), [host], given),
        b"\r\n\r\n" + _request(line, [host, ("Content-Length", length)], given),
        chance.randbytes(200),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ])  # fmt: skip


def play(port: int, said: Exchange, quiet: float = 0.1) -> bytes:
    """Return all that the server answers, with its dates and made ids taken out.

    Where it is not known how much that is, a client ends its side once nothing has come for `quiet` seconds.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for index, piece in enumerate(said.pieces):
                if index:
                    time.sleep(_PAUSE if said.methods else quiet / 4)
                client.sendall(piece)
            answer = _read(client, said, quiet)
        except TimeoutError:
            answer += b"<nothing more came>"
        except OSError:
            answer += b"<the connection was reset>"
    return _MADE_ID.sub(b"<made>", _DATE.sub(b"", answer))


def _read(client: socket.socket, said: Exchange, quiet: float) -> bytes:
    answer, ended = b"", False
    while said.methods is None or not _whole(answer, said.methods):
        client.settimeout(quiet if said.methods is None and not ended else _SECONDS)
        try:
            more = client.recv(1 << 18)
        except TimeoutError:
            if ended or said.methods:
                raise
            client.shutdown(socket.SHUT_WR)
            ended = True
        else:
            if not more:
                break
            answer += more
    return answer


def _whole(answer: bytes, methods: tuple[bytes, ...]) -> bool:
    """Return whether there is an answer to each request."""
    at = 0
    for method in methods:
        while answer.startswith(_CONTINUE, at):
            at += len(_CONTINUE)
        end = answer.find(b"\r\n\r\n", at)
        length = _LENGTH.search(answer, at, end + 2)
        if end == -1 or not length:
            return False
        at = end + 4 + (0 if method == b"HEAD" else int(length[1]))
    return len(answer) >= at
