"""The command that shows everything: demo."""

from rich.console import Console

from delivery.terminal import resumable


def demo() -> None:
    """Everything from nothing: cluster, dev, test, prod, train, release, promote, predict, roll back."""
    from delivery.operations.demo import run

    with resumable():
        run(Console())
