"""A prediction leads to the release that answered it, by what the real engine has recorded of its updates."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from delivery.clients.engine import Engine
from delivery.operations.chain import Kind
from delivery.operations.trace import Question, trace
from delivery.project import Project
from infra.contract.release import Releases
from tests.delivery.trace.conftest import World
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.rendered import rendered
from tests.support.session import FakeSession


@pytest.mark.tools
def test_predictions_before_and_after_a_promotion_lead_to_their_own_releases(
    project: Checkout, releases: Releases, world: World, tmp_path: Path
) -> None:
    program = Path(__file__).parents[1] / "history" / "program.py"
    folder = tmp_path / "engine"
    folder.mkdir()
    made = rendered(folder, program)
    project.root.joinpath("__main__.py").write_text(program.read_text())
    project.root.joinpath("Pulumi.yaml").write_text("name: stellwerk\nruntime: python\nstackConfigDir: stacks\n")
    engine = Engine(project.root, made.variables)
    engine.run("stack", "init", "prod", "--no-select")
    world.lines.clear()
    for release in (FIRST, SECOND):
        project.point("prod", release)
        assert engine.update("prod", project.text("prod").decode()).succeeded
        # The history says seconds; what is asked a minute around a change may be either's.
        world.predict(f"of-{release}", release, datetime.now(UTC))

    def ask(prediction: str) -> tuple[str | None, list[str], list[str]]:
        session = FakeSession(Project(project.root), engine, cluster=world.cluster)
        session.logs, session.server = world.search, world.track
        (chain,) = trace(session, Question(MODEL, "prod", prediction)).chains
        (update,) = (link for link in chain.links if link.kind is Kind.UPDATE)
        return chain.release, [item.about for item in update.items], chain.contradictions

    for release, ended in ((FIRST, " to 20"), (SECOND, "until now")):
        name, (about,), wrong = ask(f"of-{release}")
        assert (name, wrong) == (release, [])
        assert ended in about and "succeeded" in about
    assert world.git("rev-parse", "HEAD")[:12] in about
