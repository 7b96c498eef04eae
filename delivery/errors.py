"""What the command refuses, in one message."""


class DeliveryError(Exception):
    """The text says what is wrong and what to do."""
