"""What the tests of promotion and rollback share."""

import httpx
import pytest

from delivery.clients import endpoint
from delivery.operations import accepted, promote
from infra.contract.release import Releases
from tests.delivery.conftest import MODEL, Engine, Project, Words


@pytest.fixture(autouse=True)
def _state(project: Project, releases: Releases, request: pytest.FixtureRequest) -> None:
    """Two releases are there, and `stellwerk init` was run."""
    if "stores" not in request.fixturenames:
        project.trust(request.getfixturevalue("ca"))


@pytest.fixture(autouse=True)
def moved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Artefacts that were brought, as (source, target): stores are looked at by one test of their own."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(promote, "_bring_artefact", lambda source, target, *_: found.append((source, target)))
    return found


@pytest.fixture(autouse=True)
def _served(pulumi: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each environment serves what its file names, unless a test says otherwise."""
    monkeypatch.setattr(promote.engine, "outputs", lambda name: {"models": pulumi.applied_in(name)})

    def answer(target: endpoint.Endpoint, client: httpx.Client) -> str | None:
        name = pulumi.environment_of(target)
        return pulumi.serving.get(name, pulumi.applied_in(name).get(MODEL))

    monkeypatch.setattr(accepted, "answering_release", answer)


def move(words: Words, target: str, source: str | None = None, release: str | None = None, *, yes: bool = True) -> None:
    promote.promote(MODEL, target, source, release, promote.How(yes, 180, words.console))


def roll_back(words: Words, environment: str = "prod") -> None:
    promote.rollback(MODEL, environment, promote.How(True, 180, words.console))
