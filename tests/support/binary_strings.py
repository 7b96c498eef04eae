"""Requests with strings as binary data."""

import json
from typing import Any


def binary(*values: bytes) -> bytes:
    """Return strings in the protocol's binary form."""
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)


def packed(data: bytes, shape: list[int], **fields: Any) -> tuple[bytes, int]:
    """Return a body with binary data, and how much of it is JSON."""
    given = {
        "name": "given", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": len(data)},
    }  # fmt: skip
    head = json.dumps({"inputs": [given]} | fields).encode()
    return head + data, len(head)
