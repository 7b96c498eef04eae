"""Fixtures of the tests that need the cluster, and the choice of a lane."""

import pytest

from tests.support.cluster import edited, fresh, project, restored, settled
from tests.support.object_store import service_names

__all__ = ["edited", "fresh", "project", "restored", "service_names", "settled"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the lane that was asked for; without one, all."""
    wanted = config.getoption("lane")
    if not wanted:
        return
    left_out = [item for item in items if lane(item) != wanted]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def lane(item: pytest.Item) -> str:
    """Return the lane of a test; `others` unless it is marked."""
    mark = item.get_closest_marker("lane")
    return str(mark.args[0]) if mark else "others"
