"""Fixtures of the kill tests: the cluster of the integration tests."""

from tests.support.cluster import project, settled

__all__ = ["project", "settled"]
