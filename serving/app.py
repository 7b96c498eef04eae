"""The server's ASGI application: health and metadata from prepared bytes, inference by the model."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import onnxruntime
import orjson

from serving.errors import RequestError
from serving.log import EcsLog
from serving.model import Model
from serving.protocol import InferenceRequest, check_id, decode, encode
from serving.settings import Serve

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Result = TypeVar("Result")
# A body this short is parsed faster than it is handed to a thread.
INLINE_BODY_BYTES = 64 * 1024


class Disconnected(Exception):
    """The client went away before its request was complete."""


class Application:
    """Open Inference Protocol v2 for one model; set `draining` to close each connection after its response."""

    def __init__(self, settings: Serve, model: Model, log: EcsLog) -> None:
        """Prepare every answer that does not depend on a request."""
        self.draining = False
        self._settings, self._model, self._log = settings, model, log
        self._outputs = {tensor.name: tensor for tensor in model.outputs}
        self._release = settings.release.encode("latin-1")
        # One worker: a long batch keeps the probes answered, and two never fight for the pod's CPU.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inference")
        name = f"/v2/models/{settings.model}"
        self._models = (name, f"{name}/versions/{settings.release}")
        self._infer_paths = frozenset(f"{path}/infer" for path in self._models)
        self._answers = self._prepare()

    def _prepare(self) -> dict[str, bytes]:
        metadata = {
            "name": self._settings.model,
            "versions": [self._settings.release],
            "platform": "onnx_onnxruntime",
            "inputs": [tensor.metadata() for tensor in self._model.inputs],
            "outputs": [tensor.metadata() for tensor in self._model.outputs],
        }
        answers: dict[str, object] = {
            "/v2": {"name": "stellwerk-onnx", "version": onnxruntime.__version__, "extensions": []},
            "/v2/health/live": {"live": True},
            # Ready while draining, too: until its last request the pod is the better target than none.
            "/v2/health/ready": {"ready": True},
        }
        for path in self._models:
            answers |= {path: metadata, f"{path}/ready": {"name": self._settings.model, "ready": True}}
        return {path: orjson.dumps(answer) for path, answer in answers.items()}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path, method = scope["path"], scope["method"]
        if path in self._infer_paths and method == "POST":
            await self._infer(scope, receive, send)
            return
        answer = self._answers.get(path)
        if answer is not None and method in ("GET", "HEAD"):
            await self._respond(send, 200, answer, str(uuid.uuid4()))
            return
        known = answer is not None or path in self._infer_paths
        status = 405 if known else 404
        message = f"{method} is not allowed for {path}" if known else self._unknown(path)
        allow = b"POST" if path in self._infer_paths else b"GET, HEAD"
        headers = [(b"allow", allow)] if known else []
        await self._respond(send, status, orjson.dumps({"error": message}), str(uuid.uuid4()), headers)

    def _unknown(self, path: str) -> str:
        served = f"served is model {self._settings.model!r}, version {self._settings.release!r}"
        return f"{path} is not known; {served}, under {self._models[0]}"

    async def _infer(self, scope: Message, receive: Receive, send: Send) -> None:
        started = time.perf_counter_ns()
        request_id, rows, answer, error = "", 0, b"", None
        try:
            request_id = _header_id(scope["headers"])
            body = await self._read(receive)
            request = await self._call(len(body) <= INLINE_BODY_BYTES, lambda: decode(body, self._model))
            request_id, rows = request_id or request.id or str(uuid.uuid4()), request.rows
            status, answer = 200, await self._run(request, request_id)
        except Disconnected:
            return
        except RequestError as refused:
            status, error = refused.status, str(refused)
        # Whatever ONNX Runtime raises, the client gets an answer and the log a line.
        except Exception as failure:
            status, error = 500, f"the model failed: {type(failure).__name__}: {failure}"
        request_id = request_id or str(uuid.uuid4())
        if error is not None:
            answer = orjson.dumps({"error": error})
        await self._respond(send, status, answer, request_id)
        self._record(request_id, status, rows, time.perf_counter_ns() - started, error)

    async def _run(self, request: InferenceRequest, request_id: str) -> bytes:
        def work() -> bytes:
            arrays = self._model.run(request.feeds, request.outputs)
            tensors = [self._outputs[name] for name in request.outputs]
            return encode(self._settings.model, self._settings.release, request_id, tensors, arrays)

        return await self._call(request.rows <= self._model.inline_rows, work)

    async def _call(self, inline: bool, work: Callable[[], Result]) -> Result:
        return work() if inline else await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _read(self, receive: Receive) -> bytearray:
        body, more = bytearray(), True
        limit = self._settings.max_body_bytes
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                raise RequestError(f"the body is larger than {limit} bytes; send fewer rows per request", status=413)
        return body

    async def _respond(
        self,
        send: Send,
        status: int,
        body: bytes,
        request_id: str,
        extra: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-stellwerk-release", self._release),
            (b"x-request-id", request_id.encode("latin-1")),
            *extra,
        ]
        # The rest of a body that is too large is not read: the connection cannot be used again.
        if self.draining or status == 413:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _record(self, request_id: str, status: int, rows: int, duration: int, error: str | None) -> None:
        fields = {
            "http.request.id": request_id,
            "http.response.status_code": status,
            "event.duration": duration,
            "stellwerk.rows": rows,
        }
        if error is None:
            self._log.emit("info", "inference", fields)
        else:
            self._log.emit("warn" if status < 500 else "error", "inference refused", fields | {"error.message": error})


def _header_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and value:
            return check_id(value.decode("latin-1"), "header x-request-id")
    return ""
