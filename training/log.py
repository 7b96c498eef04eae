"""One ECS JSON line per event on standard output."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime


def timestamp() -> str:
    """Return the current time as RFC 3339 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def emit(level: str, message: str, fields: Mapping[str, str] | None = None) -> None:
    """Write `message` at `level` (info, warning, error) with `fields` (ECS names to values)."""
    record = {"@timestamp": timestamp(), "log.level": level, "message": message, "service.name": "training"}
    sys.stdout.write(json.dumps(record | dict(fields or {})) + "\n")
    sys.stdout.flush()
