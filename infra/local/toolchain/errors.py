"""Errors of the toolchain, each one message for the user."""


class ToolchainError(Exception):
    """Which tool, what went wrong and what to do about it."""
