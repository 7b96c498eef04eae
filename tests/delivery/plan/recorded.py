"""A preview of the twenty changes as the real engine has written it: `python -m tests.delivery.plan.recorded`.

What nobody reads is left out: what the engine says of itself, and what it has read of the state.
"""

import json
import tempfile
from pathlib import Path

from tests.support.checkout import FIRST, SECOND

EVENTS = Path(__file__).parent / "events.json"
RELEASES = [FIRST, SECOND]


def reduced(events: str) -> str:
    """Return the events that are kept, one a line; secret values in them are the engine's own masks."""
    kept = []
    for line in map(json.loads, events.splitlines()):
        metadata = (line.get("resourcePreEvent") or line.get("resOutputsEvent") or {}).get("metadata", {})
        stack = metadata.get("type") == "pulumi:pulumi:Stack"
        for side in filter(None, (metadata.get("old"), metadata.get("new"))):
            if not stack:
                side["outputs"] = {}
        if "resourcePreEvent" in line or "summaryEvent" in line or stack:
            kept.append(json.dumps(line) + "\n")
    return "".join(kept)


def record() -> None:
    """Write the events again."""
    from tests.delivery.plan.test_engine_words import TEXT, World

    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.edition(1).run("stack", "init", "prod", "--no-select")
        world.edition(1).update("prod", TEXT)
        EVENTS.write_text(reduced(world.events("preview")))


if __name__ == "__main__":
    record()
