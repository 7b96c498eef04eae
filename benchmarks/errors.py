"""What a benchmark can't go on with, in one message."""


class BenchmarkError(Exception):
    """The text says what is wrong and what to do."""
