"""What the tests of promotion and rollback share."""

from hashlib import sha256

import pytest

from delivery.operations.draft import How
from delivery.operations.promote import promote, rollback
from infra.contract.release import Releases
from tests.support.checkout import ARTEFACTS, MODEL, Checkout
from tests.support.documents import ENVIRONMENTS
from tests.support.engine import FakeEngine
from tests.support.forges.remote import git, origin, server
from tests.support.session import Bench, Words
from tests.support.stores import MemoryStores

__all__ = ["git", "origin", "server"]


@pytest.fixture(autouse=True)
def initialised(project: Checkout, releases: Releases, pulumi: FakeEngine, request: pytest.FixtureRequest) -> None:
    """Two releases exist, and `stellwerk init` was run; each environment serves what its file names."""
    if "stores" not in request.fixturenames:
        project.trust(request.getfixturevalue("ca"))
    pulumi.known |= set(ENVIRONMENTS)


@pytest.fixture(autouse=True)
def artefacts(bench: Bench, request: pytest.FixtureRequest) -> MemoryStores:
    """Every store but prod's has the artefacts."""
    objects = {f"{MODEL}/sha256-{sha256(content).hexdigest()}.onnx": content for content in ARTEFACTS.values()}
    made = MemoryStores({name: dict(objects) if name != "prod" else {} for name in ENVIRONMENTS})
    if "stores" not in request.fixturenames:
        bench.store = made.open
    return made


def yes(_: str) -> bool:
    return True


def move(
    bench: Bench, words: Words, target: str, source: str | None = None, release: str | None = None, *,
    how: How | None = None,
) -> None:  # fmt: skip
    promote(bench.session(), MODEL, target, source, release, how or How(True, 180, words.console, yes))


def roll_back(bench: Bench, words: Words, environment: str = "prod") -> None:
    rollback(bench.session(), MODEL, environment, How(True, 180, words.console, yes))
