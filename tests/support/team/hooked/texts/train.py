"""Made-up texts, and fixed weights, in the form that tests/support/linear.py exports."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.linear import Layer
from training.author import Rows, Run

WORDS = ("good", "bad", "dull", "film")


def load() -> Mapping[str, NDArray[Any]]:
    random = np.random.default_rng(5)
    texts = [" ".join(random.choice(WORDS, 5)) for _ in range(400)]
    good = np.array([text.count("good") > text.count("bad") + text.count("dull") for text in texts], np.int64)
    return {"text": np.array(texts, object), "good": good}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Layer:
    weight = np.array([[0, 2], [2, 0], [2, 0]], np.float32)
    return Layer(weight, np.array([1, 0], np.float32))
