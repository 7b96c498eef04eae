"""What the demo knows of the files that its commands write."""

from pathlib import Path

from delivery.clients.engine import Engine
from delivery.operations.demo import Demo
from tests.support.checkout import MODEL, SECOND
from tests.support.session import Bench, FakeSession, Words


def test_what_a_command_has_written_is_read_again(bench: Bench, words: Words, tmp_path: Path) -> None:
    engine = Engine(bench.checkout.root, {"PATH": f"{tmp_path}:/usr/bin:/bin"}, bench.clock)
    session = FakeSession(bench.checkout.project(), engine)
    assert session.project.pointers("prod", MODEL).release is None
    promote = tmp_path / "pulumi"
    promote.write_text(f"#!/bin/sh\nsed -i 's/release: null/release: {SECOND}/' {bench.checkout.file('prod')}\n")
    promote.chmod(0o755)
    Demo(session, words.console).pulumi("up", "--stack", "prod")
    assert f"release: {SECOND}" in session.project.text("prod")
