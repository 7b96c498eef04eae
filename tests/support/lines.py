"""Log lines as programs write them."""

import json
from typing import Any

TRACEBACK = """Traceback (most recent call last):
  File "job.py", line 1, in <module>
    1/0
    ~^~
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "job.py", line 3, in <module>
    raise ValueError("no data")
ValueError: no data""".splitlines()


def ecs(message: str, **fields: Any) -> str:
    """Return a line in the Elastic Common Schema."""
    return json.dumps({"@timestamp": "2026-01-02T03:04:05.678Z", "message": message, **fields})
