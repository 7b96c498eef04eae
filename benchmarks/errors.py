"""Why a benchmark cannot go on, in one message."""

from infra.contract.errors import StellwerkError


class BenchmarkError(StellwerkError):
    """A failure that is expected; the text says what happened, why, and what to do."""
