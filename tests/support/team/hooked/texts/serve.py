"""A text becomes counts of words, and scores become log-odds and a word."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .words import COUNTED


def decode(inputs: Mapping[str, NDArray[Any]], folder: Path) -> Mapping[str, NDArray[Any]]:
    counts = [[text.count(word) for word in COUNTED] for text in inputs["text"]]
    return {"counts": np.array(counts, np.float32)}


def encode(outputs: Mapping[str, NDArray[Any]], folder: Path) -> Mapping[str, NDArray[Any]]:
    scores = outputs["scores"]
    words = np.array(["bad", "good"])[scores.argmax(axis=1)]
    return {"log_odds": scores[:, 1] - scores[:, 0], "word": words}
