"""One ECS JSON line per event on standard output, and on its way to the log store where the Job ships its own."""

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

from shipping import Shipper, start


def timestamp() -> str:
    """Return the current time as RFC 3339 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def _shipper() -> Shipper | None:
    return start(os.environ, "training")


def emit(level: str, message: str, fields: Mapping[str, str] | None = None) -> None:
    """Write `message` at `level` (info, warning, error) with `fields` (ECS names to values)."""
    record = {"@timestamp": timestamp(), "log.level": level, "message": message, "service.name": "training"}
    if environment := os.environ.get("ENVIRONMENT"):
        record["service.environment"] = environment
    line = json.dumps(record | dict(fields or {})) + "\n"
    if (shipper := _shipper()) is not None:
        line = shipper.ship(line.encode()).decode()
    sys.stdout.write(line)
    sys.stdout.flush()
