"""From when to when a release was in an environment, by the updates of its stack."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from delivery.clients.updates import Recorded

# A pod that is taken away answers what it has begun; the clocks of two machines differ.
_GRACE_SECONDS = 60


@dataclass(frozen=True)
class Stay:
    """A release in an environment since an update; `until` is the one that took it away, None as long as it is there.

    `release` is None where nobody knows which one it was: of an update that was killed.
    """

    environment: str
    release: str | None
    since: Recorded
    until: Recorded | None = None

    @property
    def is_trial(self) -> bool:
        """Return whether its update did not succeed: some pods of it may have answered until the next one's end."""
        return not self.since.succeeded

    @property
    def is_over(self) -> bool:
        """Return whether it is there no more."""
        return self.until is not None

    def covers(self, moment: datetime) -> bool:
        """Return whether its pods may have answered at a moment."""
        seconds = moment.timestamp()
        if seconds < self.since.began - _GRACE_SECONDS:
            return False
        return self.until is None or seconds <= _end(self.until) + _GRACE_SECONDS

    @property
    def span(self) -> str:
        """Return from when to when it was there alone."""
        since = time(_end(self.since))
        return f"from {since} to {time(_end(self.until))}" if self.until else f"from {since} until now"


def stays(updates: Iterable[Recorded], environment: str, model: str) -> list[Stay]:
    """Return the stays of a model's releases in an environment, by the updates of its stack, oldest first."""
    made: list[Stay] = []
    for update in updates:
        if update.succeeded and update.releases is None:
            # Its values name no model at all.
            update = replace(update, releases={})
        release = None if update.releases is None else update.releases.get(model)
        serving = current(made)
        # Whatever an update that failed has left, the next one takes away or makes its own.
        made = [replace(stay, until=update) if stay.is_trial and not stay.is_over else stay for stay in made]
        if serving and serving.release == release:
            continue
        if update.succeeded and serving:
            made = [replace(stay, until=update) if stay is serving else stay for stay in made]
        if release is not None or update.releases is None:
            made.append(Stay(environment, release, update))
    return made


def current(known: Iterable[Stay]) -> Stay | None:
    """Return the stay of what the last update that succeeded has left."""
    return next((stay for stay in known if not stay.is_over and not stay.is_trial), None)


def time(seconds: float) -> str:
    """Return a time as people read it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _end(update: Recorded) -> float:
    return update.began if update.ended is None else update.ended
