"""ECS JSON lines on standard output."""

import asyncio
import atexit
import contextlib
import logging
import sys
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson

from shipping import Shipper

# How long a line may wait for others, so that they share one write; who kills the process loses those of this time.
WAIT_SECONDS = 0.005


class EcsLog:
    """Writes one line per event; `context` (ECS names to values) is part of every line.

    A `shipper` gets each of them, too.
    """

    def __init__(self, context: Mapping[str, object], shipper: Shipper | None = None) -> None:
        """Keep the fields common to all lines."""
        self._context, self._shipper = dict(context), shipper
        self._second, self._second_text = 0, ""
        self._waiting: deque[tuple[int, str, Mapping[str, object]]] = deque()
        atexit.register(self.flush)

    def emit(self, level: str, message: str, fields: Mapping[str, object] | None = None) -> None:
        """Write `message` at `level` (info, warn, error) with `fields` (ECS names to values), after what waits."""
        self._write([*self._take(), self._line(time.time_ns(), level, message, fields or {})])

    def later(self, message: str, fields: Mapping[str, object]) -> None:
        """Write `message` at the level info within WAIT_SECONDS; needs a running event loop."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(WAIT_SECONDS, self.flush)
        self._waiting.append((time.time_ns(), message, fields))

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._write(self._take())

    def _take(self) -> list[bytes]:
        lines = []
        # One by one: a library may log in another thread while lines are added in this one.
        with contextlib.suppress(IndexError):
            while True:
                moment, message, fields = self._waiting.popleft()
                lines.append(self._line(moment, "info", message, fields))
        return lines

    def _write(self, lines: list[bytes]) -> None:
        if self._shipper is not None:
            lines = [self._shipper.ship(line) for line in lines]
        sys.stdout.buffer.write(b"".join(lines))
        sys.stdout.buffer.flush()

    def _line(self, moment: int, level: str, message: str, fields: Mapping[str, object]) -> bytes:
        record = {
            "@timestamp": self._time(moment),
            "log.level": level,
            "message": message,
            **self._context,
            **fields,
        }
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)

    def _time(self, moment: int) -> str:
        second, rest = divmod(moment, 10**9)
        if second != self._second:
            self._second, self._second_text = second, datetime.fromtimestamp(second, UTC).isoformat()[:19]
        return f"{self._second_text}.{rest // 10**6:03d}Z"


class EcsHandler(logging.Handler):
    """Brings what libraries log into the same form."""

    def __init__(self, log: EcsLog) -> None:
        """Write through `log`."""
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line for the record, with the exception it carries."""
        fields: dict[str, object] = {"log.logger": record.name}
        if record.exc_info and record.exc_info[1]:
            fields |= {"error.type": record.exc_info[1].__class__.__name__, "error.message": str(record.exc_info[1])}
        self._log.emit("error" if record.levelno >= logging.ERROR else "warn", record.getMessage(), fields)
