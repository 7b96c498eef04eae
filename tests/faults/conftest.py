"""Fixtures of the kill tests: the cluster of the integration tests."""

from tests.support.cluster import fresh, project, settled

__all__ = ["fresh", "project", "settled"]
