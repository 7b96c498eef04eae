"""The one error that the command expects."""


class StellwerkError(Exception):
    """An expected failure; its text says what happened, why, and what to do next."""
