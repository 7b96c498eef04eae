"""Errors of the local cluster, each one message for the user."""


class ClusterError(Exception):
    """What went wrong and what to do about it."""
