"""Errors of the serving image; each carries one line for whoever reads it."""


class StartError(Exception):
    """The process must not start: a setting, the artefact or its digest is not as it must be."""


class RequestError(Exception):
    """The request cannot be answered; the message names the tensor, what is expected and what was given."""

    def __init__(self, message: str, status: int = 400, place: str | None = None) -> None:
        """Keep the message, the HTTP status that says whose fault it is, and for the log which code has refused it."""
        super().__init__(message)
        self.status, self.place = status, place


def brief(value: object) -> str:
    """Return `value` as Python writes it, shortened, for messages."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def kind(value: object) -> str:
    """Return what sort of JSON value `value` is, for messages."""
    return "nothing" if value is None else f"an empty {type(value).__name__}" if not value else type(value).__name__
