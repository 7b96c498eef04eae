"""What the command refuses, in one message."""

from infra.contract.errors import StellwerkError


class DeliveryError(StellwerkError):
    """The text says what is wrong and what to do."""
