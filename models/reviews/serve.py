"""Reviews, where they are served: texts become counts of words, log-odds get a word beside them."""

import re
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# As session.inputs in model.yaml says.
PLACES = 1024
_WORD = re.compile(r"[^\W\d_]+")


def decode(inputs: Mapping[str, NDArray[Any]], folder: Path) -> Mapping[str, NDArray[Any]]:
    """Return how often words and pairs of words occur in each text, by the places that their hashes give them."""
    counts = np.zeros((len(inputs["text"]), PLACES), np.float32)
    for row, text in enumerate(inputs["text"]):
        words = _WORD.findall(text.lower())
        if not words:
            raise ValueError(f"text {row} (counted from 0) has no words")
        pairs = (f"{first} {second}" for first, second in pairwise(words))
        for term in (*words, *pairs):
            # Equal in each process: Python's own hash is not.
            counts[row, zlib.crc32(term.encode()) % PLACES] += 1
    return {"words": counts}


def encode(outputs: Mapping[str, NDArray[Any]], folder: Path) -> Mapping[str, NDArray[Any]]:
    """Return the log-odds as they are, and what they mean."""
    positive = outputs["log_odds"] > 0
    return {"log_odds": outputs["log_odds"], "sentiment": np.where(positive, "positive", "negative")}
