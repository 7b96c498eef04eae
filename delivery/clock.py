"""The time, as operations that wait take it: a test gives one in that passes by itself."""

import time


class Clock:
    """The machine's clock; times are in seconds."""

    def monotonic(self) -> float:
        """Return the time since some moment in the past; it never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Return the time since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
