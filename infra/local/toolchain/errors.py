"""Errors of the toolchain, each one message for the user."""

from infra.contract.errors import StellwerkError


class ToolchainError(StellwerkError):
    """Which tool, what went wrong and what to do about it."""
