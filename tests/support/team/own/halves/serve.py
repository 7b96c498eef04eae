"""Each number times the one that the file has for its place."""

import json
from functools import cache

import numpy as np


def predict(inputs, folder):
    """Return the products."""
    return {"y": inputs["x"] * _factors(folder)}


@cache
def _factors(folder):
    content = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    begin, end = json.loads(content[8:start])["factors"]["data_offsets"]
    return np.frombuffer(content[start + begin : start + end], np.float32)
