"""Errors of the serving image; each carries one line for whoever reads it."""


class StartError(Exception):
    """The process must not start: a setting, the artefact or its digest is not as it must be."""


class RequestError(Exception):
    """The request cannot be answered; the message names the tensor, what is expected and what was given."""

    def __init__(self, message: str, status: int = 400) -> None:
        """Keep the message and the HTTP status that says whose fault it is."""
        super().__init__(message)
        self.status = status
