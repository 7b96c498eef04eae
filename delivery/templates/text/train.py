"""What messages ask for: a logistic regression on the words that serve.py counts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.author import Rows, Run

from .serve import TOPICS, decode

MESSAGES = 1500
WORDS = (("parcel", "late", "address", "courier"), ("price", "paid", "tax", "amount"), ("cancel", "contract", "leave"))
COMMON = ("please", "my", "order", "hello", "thanks", "when", "the", "number")


def load() -> Mapping[str, NDArray[Any]]:
    """Return generated messages: read your own here, a column for each input, and the target."""
    random = np.random.default_rng(2)
    topics = random.integers(0, len(TOPICS), MESSAGES)
    messages = [
        " ".join(random.permutation([*random.choice(COMMON, 5), *random.choice(WORDS[topic], 2)])) for topic in topics
    ]
    return {"message": np.array(messages, object), "topic": TOPICS.astype(object)[topics]}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Any:
    """Return a classifier of what `decode` makes of messages: the exported file gets no others."""
    # Only here: whoever looks at the data alone needs none of it.
    from sklearn.linear_model import LogisticRegression

    words = decode(rows.inputs, Path())["words"]
    return LogisticRegression(C=1 / parameters["regularisation"], max_iter=1000).fit(words, rows.target)
