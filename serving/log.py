"""ECS JSON lines on standard output."""

import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson


class EcsLog:
    """Writes one line per event; `context` (ECS names to values) is part of every line."""

    def __init__(self, context: Mapping[str, object]) -> None:
        """Keep the fields common to all lines."""
        self._context = dict(context)
        self._second, self._second_text = 0, ""

    def emit(self, level: str, message: str, fields: Mapping[str, object] | None = None) -> None:
        """Write `message` at `level` (info, warn, error) with `fields` (ECS names to values)."""
        record = {
            "@timestamp": self._now(),
            "log.level": level,
            "message": message,
            **self._context,
            **(fields or {}),
        }
        sys.stdout.buffer.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()

    def _now(self) -> str:
        second, rest = divmod(time.time_ns(), 10**9)
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
