"""Fixtures of the serving tests."""

from tests.support.server import server, start

__all__ = ["server", "start"]
