"""Reviews: a logistic regression on words and pairs of words."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from training.author import Rows, Run

from .serve import decode

REVIEWS = 3000
GOOD = ("wonderful", "moving", "clever", "funny", "gripping", "beautiful")
BAD = ("dull", "clumsy", "predictable", "noisy", "endless", "shallow")
THINGS = ("story", "music", "acting", "ending", "camera", "dialogue")
BEGINNINGS = ("i saw it on a rainy sunday", "my sister took me along", "nobody had said anything about it")


def load() -> Mapping[str, NDArray[Any]]:
    """Return made-up reviews of three opinions each, of which some are negated; the majority decides, but for noise."""
    random = np.random.default_rng(11)
    texts, opinions, negated = [], [], []
    for _ in range(REVIEWS):
        likes, nots = random.random(3) < random.choice([0.2, 0.8]), random.random(3) < 0.25
        # What is liked is called good, or not bad.
        words = [random.choice(GOOD if good != turned else BAD) for good, turned in zip(likes, nots, strict=True)]
        said = [
            f"the {thing} was {'not ' if turned else ''}{word}"
            for thing, turned, word in zip(random.permutation(THINGS), nots, words, strict=False)
        ]
        texts.append(", ".join([random.choice(BEGINNINGS), *said]) + ".")
        opinions.append("positive" if (likes.sum() >= 2) != (random.random() < 0.03) else "negative")
        negated.append(bool(nots.any()))
    return {"text": np.array(texts, object), "opinion": np.array(opinions, object), "negated": np.array(negated)}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Any:
    """Return a classifier of what `decode` makes of texts: the exported file gets no others."""
    words = decode(rows.inputs, Path())["words"]
    return LogisticRegression(C=1 / parameters["regularisation"], max_iter=1000).fit(words, rows.target)
