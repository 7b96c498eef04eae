"""`stellwerk ci drift`: one issue for an environment that has drifted, kept up to date, and closed when it has not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from delivery.clients.forges.forge import Forge
from delivery.operations.drift import Drifted

LABEL = "drift"
# For the line that says how many there is no room for.
_ROOM = 100


@dataclass(frozen=True)
class Drift:
    """What differs in an environment, and when it was looked at (seconds since 1970)."""

    environment: str
    items: Sequence[Drifted]
    moment: float

    @property
    def marker(self) -> str:
        """The word by which the issue is found again."""
        return f"drift-{self.environment}"

    @property
    def title(self) -> str:
        """The issue's title."""
        count = len(self.items)
        return f"{self.environment}: {count} {'resource differs' if count == 1 else 'resources differ'} from its state"

    @property
    def seen(self) -> str:
        """When it was looked at."""
        return datetime.fromtimestamp(self.moment, UTC).strftime("%Y-%m-%d %H:%M UTC")

    def body(self, limit: int) -> str:
        """Return the issue's text, with as many of the resources as `limit` characters have room for."""
        head = [
            f"What runs in `{self.environment}` is not what was applied last, as of {self.seen}.",
            "",
            "| resource | namespace | change | fields |",
            "|---|---|---|---|",
        ]
        foot = [
            "",
            f"`stellwerk drift --env {self.environment} --repair` puts it back: preview, question, update. What is to "
            f"stay belongs into the values of `{self.environment}`. This issue follows what differs, and is closed by "
            "the run that finds no difference.",
        ]
        room = limit - _ROOM - sum(len(line) + 1 for line in (*head, *foot))
        rows: list[str] = []
        for item in self.items:
            row = _row(item)
            room -= len(row) + 1
            if room < 0:
                break
            rows.append(row)
        left = len(self.items) - len(rows)
        more = ["", f"{left} more: `stellwerk drift --env {self.environment}`"] if left else []
        return "\n".join((*head, *rows, *more, *foot))


def report(forge: Forge, drift: Drift) -> str:
    """Open, update or close the issue of the environment; return what was done, with the issue's address."""
    known = forge.find_issue(drift.marker)
    if not drift.items:
        if known is None:
            return "no issue is open"
        forge.close_issue(known.number, f"Nothing differs any more, as of {drift.seen}.")
        return f"closed {known.url}"
    if known is None:
        return f"opened {forge.open_issue(drift.marker, drift.title, drift.body(forge.comment_limit), (LABEL,)).url}"
    forge.update_issue(known.number, drift.marker, drift.title, drift.body(forge.comment_limit))
    return f"updated {known.url}"


def _row(item: Drifted) -> str:
    kind = item.type.rpartition(":")[2]
    fields = ", ".join(f"`{field}`" for field in item.fields)
    cells = (f"{kind} `{item.name}`", f"`{item.namespace}`" if item.namespace else "", item.change, fields)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
