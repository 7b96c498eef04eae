"""What holds for every test run."""

import signal

import pytest


def pytest_configure() -> None:
    """Undo that a run in the background ignores SIGINT and hands that on: the engine would wait 5 s per plugin."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever the order, what takes everything down comes last."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
