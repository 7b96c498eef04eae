"""The direct way of plain requests: from their bytes to those of their answer, without a task and without a thread."""

import time

from serving.answer import Identity, Writer
from serving.document import SMALL_BYTES, memory
from serving.inline import SHORT_NANOSECONDS
from serving.memory import Budget
from serving.model import Runner
from serving.plain import Bodies, Head, Heads
from serving.protocol import InferenceRequest
from serving.record import Records
from serving.settings import Serve

# Bodies of this size are read, and so few values written, in about a millisecond: nobody else waits longer for it.
MOST_BYTES = 1024**2
MOST_ANSWER_VALUES = 4096


class Direct:
    """Answers a plain request whose run surely is short; whatever else there is has to go the general way."""

    def __init__(
        self, settings: Serve, model: Runner, records: Records, budget: Budget, paths: frozenset[str], most_body: int
    ) -> None:
        """Answer requests for `paths` of at most `most_body` bytes by `model`."""
        self.budget = budget
        self._model, self._records = model, records
        identity = Identity(settings.model, settings.release, settings.null_if_not_finite)
        self._writer = Writer(identity, model.outputs)
        # A list of strings is no plain one: such requests go the general way at once.
        plain = frozenset[str]() if model.takes_strings else paths
        self._heads, self._bodies = Heads(plain, min(most_body, MOST_BYTES)), Bodies(model)
        # Sizes whose answers turned out to be long.
        self._long: set[tuple[int, ...]] = set()
        self._after_length = f"\r\nx-stellwerk-release: {settings.release}\r\nx-request-id: ".encode("latin-1")
        self._defaults: object = None
        self._before_length = b""

    def head(self, data: bytes) -> Head | None:
        """Return the head that `data` begins with if it is a plain one's."""
        return self._heads.read(data)

    def free(self, length: int) -> bool:
        """Return whether there is memory for a body of this length, and nobody waits for it."""
        # Of all there is, every body that is read at all may have its part.
        return not self.budget.used or self.budget.free(memory(length, None))

    def answer(
        self, head: Head, data: bytes | bytearray, begin: int, started: int, defaults: list[tuple[bytes, bytes]]
    ) -> bytes | None:
        """Return the answer to the body at data[begin], the headers `defaults` first; None: it goes the general way.

        `started` is when its first bytes came, in nanoseconds of perf_counter_ns.
        """
        try:
            done = self._run(data, begin, begin + head.length)
        # What fails is done again where it is answered and logged.
        except Exception:
            return None
        if done is None:
            return None
        request, content = done
        if defaults is not self._defaults:
            self._prepare(defaults)
        request_id = head.request_id or self._records.new_id()
        self._records.add(request_id, request, 200, time.perf_counter_ns() - started)
        return b"%b%d%b%b\r\n\r\n%b" % (
            self._before_length, len(content), self._after_length, request_id.encode("ascii"), content,
        )  # fmt: skip

    def _run(self, data: bytes | bytearray, begin: int, end: int) -> tuple[InferenceRequest, bytes] | None:
        """Return the request and the body of its answer; None unless both are plain. Raises whatever goes wrong."""
        plain = self._bodies.read(data, begin, end)
        if plain is None:
            return None
        (request, size), model = plain, self._model
        if not model.short_runs.covers(size) or request.binary or size in self._long:
            return None
        arrays, nanoseconds = model.timed_run(request.feeds, request.outputs)
        if nanoseconds > SHORT_NANOSECONDS:
            model.short_runs.record(size, nanoseconds)
        if sum([array.size for array in arrays]) <= MOST_ANSWER_VALUES:
            content = self._writer.write(request, arrays)
            # A longer one is watched until its client has it.
            if len(content) <= SMALL_BYTES:
                return request, content
        self._remember_long(size)
        return None

    def _prepare(self, defaults: list[tuple[bytes, bytes]]) -> None:
        headers = [*defaults, (b"content-type", b"application/json")]
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        self._before_length = b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: "
        self._defaults = defaults

    def _remember_long(self, size: tuple[int, ...]) -> None:
        if len(self._long) >= MOST_ANSWER_VALUES:
            self._long.clear()
        self._long.add(size)
