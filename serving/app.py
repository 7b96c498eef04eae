"""The server's ASGI application: health and metadata from prepared bytes, inference by the model."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import onnxruntime
import orjson

from serving import answer, document
from serving.body import (
    JSON_BYTES_HEADER,
    NO_HEADERS,
    Disconnected,
    Headers,
    Message,
    Receive,
    parse_headers,
    read,
    unpack,
)
from serving.direct import MOST_ANSWER_VALUES, Direct
from serving.document import SMALL_BYTES
from serving.errors import RequestError
from serving.hooks import HookError
from serving.inline import SHORT_NANOSECONDS
from serving.log import EcsLog
from serving.memory import Budget, Reservation
from serving.model import ModelError, Runner
from serving.protocol import InferenceRequest, decode
from serving.record import Records
from serving.settings import Serve

Send = Callable[[Message], Awaitable[None]]
Result = TypeVar("Result")
# An answer that its client does not read is cut off after this time; it holds memory that others wait for.
SEND_SECONDS = 60.0


def _nothing() -> None:
    """Stand for what a server other than ours does not give."""


class Application:
    """Open Inference Protocol v2 for one model; set `draining` to close each connection after its response."""

    def __init__(self, settings: Serve, model: Runner, log: EcsLog, budget: Budget) -> None:
        """Prepare every answer that does not depend on a request; requests hold what `budget` allows."""
        self.draining = False
        self._settings, self._model, self._budget, self._records = settings, model, budget, Records(log)
        self._outputs = {tensor.name: tensor for tensor in model.outputs}
        # How long strings are is looked at before they are written.
        self._most_answer_values = 0 if model.returns_strings else MOST_ANSWER_VALUES
        self._identity = answer.Identity(settings.model, settings.release, settings.null_if_not_finite)
        # A body that alone would need more memory than all requests may hold is never read.
        self._factors = document.factors(model)
        most = (budget.total - SMALL_BYTES) // self._factors.json
        self._max_body = min(settings.max_body_bytes, most)
        # One worker: a long batch keeps the probes answered, and two never fight for the pod's CPU.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        self._release = settings.release.encode("latin-1")
        name = f"/v2/models/{settings.model}"
        self._models = (name, f"{name}/versions/{settings.release}")
        self._infer_paths = frozenset(f"{path}/infer" for path in self._models)
        self._answers = self._prepare()
        # What plain requests take instead of everything below.
        self.direct = Direct(settings, model, self._records, budget, self._infer_paths, self._max_body)

    def _prepare(self) -> dict[str, bytes]:
        metadata = {
            "name": self._settings.model,
            "versions": [self._settings.release],
            "platform": "onnx_onnxruntime",
            "inputs": [tensor.metadata() for tensor in self._model.inputs],
            "outputs": [tensor.metadata() for tensor in self._model.outputs],
        }
        server = {"name": "stellwerk-onnx", "version": onnxruntime.__version__, "extensions": ["binary_tensor_data"]}
        answers: dict[str, object] = {
            "/v2": server,
            "/v2/health/live": {"live": True},
            # Ready while draining, too: until its last request the pod is the better target than none.
            "/v2/health/ready": {"ready": True},
        }
        for path in self._models:
            answers |= {path: metadata, f"{path}/ready": {"name": self._settings.model, "ready": True}}
        return {path: orjson.dumps(body) for path, body in answers.items()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path, method = scope["path"], scope["method"]
        if path in self._infer_paths and method == "POST":
            await self._infer(scope, receive, send)
            return
        body = self._answers.get(path)
        if body is not None and method in ("GET", "HEAD"):
            await self._respond(send, 200, body, self._records.new_id())
            return
        known = body is not None or path in self._infer_paths
        status = 405 if known else 404
        message = f"{method} is not allowed for {path}" if known else self._unknown(path)
        allow = b"POST" if path in self._infer_paths else b"GET, HEAD"
        headers = [(b"allow", allow)] if known else []
        await self._respond(send, status, orjson.dumps({"error": message}), self._records.new_id(), headers)

    def _unknown(self, path: str) -> str:
        served = f"served is model {self._settings.model!r}, version {self._settings.release!r}"
        return f"{path} is not known; {served}, under {self._models[0]}"

    async def _infer(self, scope: Message, receive: Receive, send: Send) -> None:
        started = time.perf_counter_ns()
        request, json_bytes, error, status, place = None, None, None, 200, None
        body: bytes | bytearray = b""
        headers, held, abort = NO_HEADERS, Reservation(self._budget), scope.get("abort", _nothing)
        try:
            try:
                headers = parse_headers(scope["headers"])
                request = await self._read(receive, headers, held, abort)
                body, json_bytes = await self._run(request, held)
            except RequestError as refused:
                status, error, place = refused.status, str(refused), refused.place
            except HookError as failure:
                status, error, place = 500, f"the model's {failure}", failure.place
            except ModelError as failure:
                status, error = 422, f"the model has no result for these inputs: {failure}"
            except MemoryError:
                status, error = 413, "the model needs more memory for this request than it has; send fewer rows"
            # Whatever else fails, the client gets an answer and the log a line.
            except Exception as failure:
                if isinstance(failure, Disconnected):
                    return
                status, error = 500, f"the model failed: {type(failure).__name__}: {failure}"
            request_id = headers.request_id or self._records.new_id()
            if error is not None:
                body = orjson.dumps({"error": error})
            kind = b"application/json" if json_bytes is None else b"application/octet-stream"
            await self._respond(send, status, body, request_id, _extra(status, json_bytes), kind, abort)
        finally:
            held.lower_to(0)
        # Where the model's own code has failed is for those who have the log.
        logged = f"{error} ({place})" if place else error
        self._records.add(request_id, request, status, time.perf_counter_ns() - started, logged)

    async def _read(
        self, receive: Receive, headers: Headers, held: Reservation, abort: Callable[[], None]
    ) -> InferenceRequest:
        body = await read(receive, headers, self._max_body, self._factors, held, abort)
        if headers.encoding:
            body = await self._unpack(body, headers, held)
        elif headers.length is None:
            held.lower_to(self._memory(len(body), headers))
        if len(body) <= SMALL_BYTES:
            return decode(body, self._model, headers.json_bytes)
        request = await self._thread(lambda: decode(body, self._model, headers.json_bytes))
        # Strings take most of what their body needs until their run has ended.
        if not self._model.takes_strings:
            held.lower_to(SMALL_BYTES + sum(array.nbytes for array in request.feeds.values()))
        return request

    def _memory(self, body_bytes: int, headers: Headers) -> int:
        return document.memory(body_bytes, headers.json_bytes, self._factors)

    async def _unpack(self, packed: bytes | bytearray, headers: Headers, held: Reservation) -> bytes:
        if len(packed) <= SMALL_BYTES:
            try:
                return unpack(packed, headers.encoding, SMALL_BYTES)
            except RequestError as refused:
                if refused.status != 413:
                    raise
        limit = self._max_body
        await held.raise_to(self._memory(limit, headers))
        body = await self._thread(lambda: unpack(packed, headers.encoding, limit))
        held.lower_to(self._memory(len(body), headers))
        return body

    async def _run(self, request: InferenceRequest, held: Reservation) -> tuple[bytes | bytearray, int | None]:
        model, size = self._model, request.size
        inline = model.short_runs.covers(size)
        if inline:
            arrays, nanoseconds = model.timed_run(request.feeds, request.outputs)
        else:
            arrays, nanoseconds = await self._thread(lambda: model.timed_run(request.feeds, request.outputs))
        # Some outputs may take less than all of them do.
        if nanoseconds > SHORT_NANOSECONDS or (not inline and len(request.outputs) == len(self._outputs)):
            model.short_runs.record(size, nanoseconds)
        tensors = [self._outputs[name] for name in request.outputs]
        if sum([array.size for array in arrays]) <= self._most_answer_values:
            return answer.encode(self._identity, request, tensors, arrays)
        request.feeds.clear()
        held.answer(answer.memory(arrays, [name in request.binary for name in request.outputs]))
        return await self._thread(lambda: answer.encode(self._identity, request, tensors, arrays))

    async def _thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _respond(
        self,
        send: Send,
        status: int,
        body: bytes | bytearray,
        request_id: str,
        extra: Iterable[tuple[bytes, bytes]] = (),
        content_type: bytes = b"application/json",
        abort: Callable[[], None] = _nothing,
    ) -> None:
        headers = [
            (b"content-type", content_type),
            (b"content-length", str(len(body)).encode()),
            (b"x-stellwerk-release", self._release),
            (b"x-request-id", request_id.encode("latin-1")),
            *extra,
        ]
        # The rest of a body that is too large is not read: the connection cannot be used again.
        if self.draining or status in (408, 413):
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if len(body) <= SMALL_BYTES:
            await send({"type": "http.response.body", "body": body})
            return
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": True})
                # Returns once most of the body is with the client: only then is its memory free.
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            abort()


def _extra(status: int, json_bytes: int | None) -> list[tuple[bytes, bytes]]:
    if status == 503:
        return [(b"retry-after", b"1")]
    if status == 415:
        return [(b"accept-encoding", b"gzip, deflate")]
    if json_bytes is not None:
        return [(JSON_BYTES_HEADER, str(json_bytes).encode())]
    return []
