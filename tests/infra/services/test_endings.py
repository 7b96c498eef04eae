"""The outputs of a stack are read while the engine writes its state."""

import pytest

from infra.services.serving.endings import whole


def test_a_state_that_is_just_being_written_is_read_again() -> None:
    torn = iter(["failed to load checkpoint: EOF"] * 2)

    def read() -> str:
        for words in torn:
            raise RuntimeError(words)
        return "whole"

    assert whole(read) == "whole"


def test_another_error_is_not_kept_back() -> None:
    def read() -> str:
        raise RuntimeError("no rights")

    with pytest.raises(RuntimeError, match="no rights"):
        whole(read)
