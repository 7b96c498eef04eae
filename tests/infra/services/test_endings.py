"""The outputs of a stack are read while the engine writes its state."""

from collections.abc import Iterator
from typing import Any

import pytest

from infra.services.serving.endings import whole


def test_a_state_that_is_just_being_written_is_read_again() -> None:
    answers: Iterator[Any] = iter(
        [Exception("failed to load checkpoint: EOF"), Exception("failed to load checkpoint: EOF"), "whole"]
    )

    def read() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert whole(read) == "whole"


def test_another_error_is_not_kept_back() -> None:
    def read() -> str:
        raise RuntimeError("no rights")

    with pytest.raises(RuntimeError, match="no rights"):
        whole(read)
