"""Why a benchmark cannot go on, in one message."""


class BenchmarkError(Exception):
    """A failure that is expected; the text says what happened, why, and what to do."""
