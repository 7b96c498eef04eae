"""From when to when a release was in an environment, by the updates of its stack."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from delivery.clients.updates import PastUpdate

# A pod that is taken away answers what it has begun; the clocks of two machines differ.
_GRACE = timedelta(seconds=60)


@dataclass(frozen=True)
class Stay:
    """A release in an environment since an update; `until` is the one that took it away, None as long as it is there.

    A trial is of an update that failed: some of its pods may have answered until the next update had ended.
    """

    release: str
    since: PastUpdate
    until: PastUpdate | None = None

    @property
    def is_trial(self) -> bool:
        """Return whether the update that brought it failed."""
        return not self.since.succeeded

    @property
    def is_over(self) -> bool:
        """Return whether it is there no more."""
        return self.until is not None

    def covers(self, moment: datetime) -> bool:
        """Return whether its pods may have answered at a moment."""
        ended = self.until is not None and moment > self.until.ended + _GRACE
        return moment >= self.since.started - _GRACE and not ended


def stays(updates: Iterable[PastUpdate], model: str) -> list[Stay]:
    """Return the stays of a model's releases in one environment, whose updates come oldest first."""
    made: list[Stay] = []
    for update in updates:
        if update.kind not in ("update", "destroy"):
            continue
        release = None if update.kind == "destroy" else update.releases.get(model)
        serving = next((stay for stay in made if not stay.is_over and not stay.is_trial), None)
        # Whatever an update that failed has left, the next one takes away or makes its own.
        made = [replace(stay, until=update) if stay.is_trial and not stay.is_over else stay for stay in made]
        if serving and serving.release == release:
            continue
        if update.succeeded and serving:
            made = [replace(stay, until=update) if stay is serving else stay for stay in made]
        if release is not None:
            made.append(Stay(release, update))
    return made


def current(known: Iterable[Stay]) -> Stay | None:
    """Return the stay of what the last update that succeeded has left."""
    return next((stay for stay in known if not stay.is_over and not stay.is_trial), None)
