"""What is logged of each inference, and the ids of requests that bring none."""

import os
from typing import Any

from serving.log import EcsLog
from serving.protocol import InferenceRequest

_IDS_AT_A_TIME = 64


class Records:
    """Gives requests their ids, and the log a line for each."""

    def __init__(self, log: EcsLog) -> None:
        """Write to `log`."""
        self._log = log
        self._ids: list[str] = []

    def new_id(self) -> str:
        """Return a random id (UUID version 4) for a request that has none."""
        if not self._ids:
            self._ids = _random_ids()
        return self._ids.pop()

    def add(
        self, request_id: str, request: InferenceRequest | None, status: int, duration: int, error: str | None = None
    ) -> None:
        """Log an inference that took `duration` nanoseconds, in a while; a refusal or failure, `error`, at once."""
        fields: dict[str, Any] = {
            "http.request.id": request_id,
            "http.response.status_code": status,
            "event.duration": duration,
            "stellwerk.rows": request.rows if request else 0,
        }
        if request and request.id is not None:
            fields["stellwerk.inference_id"] = request.id
        if error is not None:
            level = "warn" if status < 500 else "error"
            self._log.emit(level, "inference refused", fields | {"error.message": error})
        else:
            self._log.later("inference", fields)


def _random_ids() -> list[str]:
    """Return ids as uuid.uuid4 makes them, many at a time: each asks the kernel otherwise."""
    text = os.urandom(16 * _IDS_AT_A_TIME).hex()
    ids = []
    for at in range(0, len(text), 32):
        variant = "89ab"[int(text[at + 16], 16) & 3]
        ids.append(
            f"{text[at : at + 8]}-{text[at + 8 : at + 12]}-4{text[at + 13 : at + 16]}"
            f"-{variant}{text[at + 17 : at + 20]}-{text[at + 20 : at + 32]}"
        )
    return ids
