"""Errors of the local cluster, each one message for the user."""

from infra.contract.errors import StellwerkError


class ClusterError(StellwerkError):
    """What went wrong and what to do about it."""
