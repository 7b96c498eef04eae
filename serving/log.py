"""ECS JSON lines on standard output."""

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import orjson


class EcsLog:
    """Writes one line per event; `context` (ECS names to values) is part of every line."""

    def __init__(self, context: Mapping[str, object]) -> None:
        """Keep the fields common to all lines."""
        self._context = dict(context)

    def emit(self, level: str, message: str, fields: Mapping[str, object] | None = None) -> None:
        """Write `message` at `level` (info, warn, error) with `fields` (ECS names to values)."""
        record = {
            "@timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "log.level": level,
            "message": message,
            **self._context,
            **(fields or {}),
        }
        sys.stdout.buffer.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()


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
