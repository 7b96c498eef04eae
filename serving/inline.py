"""Which runs are short enough for the event loop, by what runs of such sizes have taken."""

from operator import le

# A run this short costs less than handing it to a thread.
SHORT_NANOSECONDS = 1_000_000
# An inline run this long is no chance, such as a cold cache: others would notice it.
LONG_NANOSECONDS = 10_000_000
MOST_SIZES = 64
MOST_NEEDED = 1024


class ShortRuns:
    """Remembers sizes (all dimensions of all inputs) whose runs were short; what is nowhere larger is short, too.

    Nothing is concluded about larger sizes: each is run in a thread first. A size that once was short and then was
    much too long (a model whose work depends on values) has to be short twice as often as before to be trusted again.
    """

    def __init__(self) -> None:
        """Know of no size yet."""
        self._sizes: dict[tuple[int, ...], None] = {}
        self._needed, self._in_a_row = 1, 0

    def covers(self, size: tuple[int, ...]) -> bool:
        """Return whether a run of `size` is surely short."""
        return size in self._sizes or any(all(map(le, size, known)) for known in self._sizes)

    def record(self, size: tuple[int, ...], nanoseconds: int) -> None:
        """Note that a run of `size` took `nanoseconds`."""
        covered = self.covers(size)
        if covered and nanoseconds <= SHORT_NANOSECONDS:
            return
        if nanoseconds > SHORT_NANOSECONDS:
            self._in_a_row = 0
            if covered:
                if nanoseconds > LONG_NANOSECONDS:
                    self._needed = min(MOST_NEEDED, 2 * self._needed)
                self._sizes = {known: None for known in self._sizes if not all(map(le, size, known))}
        else:
            self._in_a_row += 1
            if self._in_a_row >= self._needed:
                smaller = [known for known in self._sizes if all(map(le, known, size))]
                for known in smaller or list(self._sizes)[: max(0, len(self._sizes) - MOST_SIZES + 1)]:
                    del self._sizes[known]
                self._sizes[size] = None
