"""What holds for every test run."""

import gc
import signal

import pytest

from delivery.clients import control_plane
from tests.support.cluster import LANES, fresh

# Here, for all folders: one each would be a cluster each.
__all__ = ["fresh"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of a lane of the integration tests."""
    parser.addoption("--lane", choices=LANES, help="of the integration tests, those of one lane (tests/__main__.py)")


def pytest_configure() -> None:
    """Undo that a run in the background ignores SIGINT and hands that on: the engine would wait 5 s per plugin.

    And be patient with control planes: beside a busy cluster they get the processor now and then.
    """
    control_plane.PATIENCE_SECONDS = 900
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the lane that was asked for, and sort them.

    What has a cluster of its own comes before the one that the others share, what takes that one down comes last.
    """
    wanted = config.getoption("lane")
    if wanted:
        left_out = [item for item in items if _lane(item) != wanted]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Let the garbage collector look at what the tests make, less often, and no more at what was imported for them.

    That takes an eighth of the processor time of those that need no cluster away.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _turn(item: pytest.Item) -> int:
    if item.get_closest_marker("first"):
        return 0
    return 2 if item.get_closest_marker("last") else 1


def _lane(item: pytest.Item) -> str:
    """Return the lane of a test; `dev` unless it is marked."""
    mark = item.get_closest_marker("lane")
    return str(mark.args[0]) if mark else "dev"
