"""The words of messages are counted, and the classifier learns what they ask for."""

from pathlib import Path

import numpy as np
import pytest

from training.author import Rows, Run, read_author

AUTHOR = read_author(Path(__file__).resolve().parents[1])
TOPICS = ["delivery", "invoice", "cancellation"]


def counts(messages: list[str]) -> np.ndarray:
    assert AUTHOR.hooks.decode
    return AUTHOR.hooks.decode({"message": np.array(messages, object)}, Path())["words"]


def test_words_are_counted_whatever_their_case() -> None:
    first, second = counts(["Where is my parcel? My parcel!", "parcel"])
    assert (first.sum(), first[second.argmax()]) == (6, 2)


def test_a_topic_is_named() -> None:
    assert AUTHOR.hooks.encode
    answered = AUTHOR.hooks.encode({"logits": np.eye(3, dtype=np.float32)}, Path())
    assert answered["topic"].tolist() == TOPICS


def test_the_classifier_learns() -> None:
    pytest.importorskip("sklearn")
    columns = AUTHOR.load()
    target = np.array([TOPICS.index(topic) for topic in columns["topic"]])
    rows = Rows({"message": columns["message"]}, target, {})
    fitted = AUTHOR.fit(rows.of(slice(1000)), {"regularisation": 1.0}, Run("cpu", lambda *_: None))
    assert fitted.score(counts(list(columns["message"][1000:])), target[1000:]) > 0.9
