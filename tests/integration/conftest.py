"""Fixtures of the tests that need the cluster."""

from tests.support.cluster import another_checkout, beside, edited, project, restored, settled, started
from tests.support.object_store import service_names

__all__ = [
    "another_checkout",
    "beside",
    "edited",
    "project",
    "restored",
    "service_names",
    "settled",
    "started",
]
