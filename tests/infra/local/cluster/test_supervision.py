"""Parts under a real supervisord."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.cluster import supervision
from infra.local.cluster.layout import Layout
from infra.local.cluster.parts import Part

SETPRIV = shutil.which("setpriv")


@pytest.fixture
def running() -> Iterator[Layout]:
    """Three parts; Unix sockets have short names, so that the folder is not pytest's own."""
    with tempfile.TemporaryDirectory(prefix="stw-") as folder:
        place = Layout(Path(folder))
        place.make()
        parts = [Part(name, ["sleep", "60"], 1, {"PART": name}) for name in ("one", "two", "last")]
        supervision.start(place, supervision.write(place, parts, Path(SETPRIV or "")))
        try:
            yield place
        finally:
            supervision.shutdown(place)


@pytest.mark.skipif(SETPRIV is None, reason="setpriv is not installed")
def test_parts_are_stopped_and_the_others_go_on(running: Layout) -> None:
    supervision.stop(running, ["one", "two", "of another version"])
    assert {name: part["pid"] != 0 for name, part in supervision.states(running).items()} == {
        "one": False, "two": False, "last": True,
    }  # fmt: skip
    supervision.shutdown(running)
    assert supervision.states(running) == {}
    # Nothing runs any more.
    supervision.stop(running, ["last"])
