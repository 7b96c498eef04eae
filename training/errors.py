"""Errors a training Job ends with; each is one line for the user."""


class TrainingError(Exception):
    """Something the user can put right: an environment variable, the data, the device."""


class GateError(TrainingError):
    """The model was trained and measured, and an evaluation gate refused it."""
