"""The project of a command: what it reads, how often, and the messages about files that are wrong."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from delivery.errors import DeliveryError
from delivery.operations.draft import How
from delivery.operations.promote import promote
from delivery.project import Pointers
from infra.contract.errors import StellwerkError
from infra.contract.release import Releases
from infra.values import ENVIRONMENTS
from tests.support import engine as fake
from tests.support.checkout import ARTEFACTS, FIRST, MODEL, SECOND, Checkout, config
from tests.support.session import Bench, Command, Words
from tests.support.stores import MemoryStores

_listeners: list[Callable[[Path], object]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or not _listeners or not isinstance(arguments[0], str):
        return
    frame: Any = sys._getframe()
    while frame is not None:
        # The engine that stands in reads the files, too; that is no reading of the command's.
        if frame.f_code.co_filename == fake.__file__:
            return
        frame = frame.f_back
    for listener in _listeners:
        listener(Path(arguments[0]))


sys.addaudithook(_hear)


@contextmanager
def reads(checkout: Checkout) -> Iterator[Counter[str]]:
    """Count how often each file of the checkout is opened."""
    counted: Counter[str] = Counter()

    def listen(path: Path) -> None:
        if path.is_relative_to(checkout.root) and path.suffix == ".yaml":
            counted[path.name] += 1

    _listeners.append(listen)
    try:
        yield counted
    finally:
        _listeners.remove(listen)


@pytest.fixture
def promotable(project: Checkout, releases: Releases, bench: Bench, ca: str) -> Bench:
    """Test serves the second release; prod serves the first one."""
    project.trust(ca)
    project.point("test", SECOND, FIRST)
    project.point("prod", FIRST)
    bench.engine.known |= set(ENVIRONMENTS)
    objects = {f"{MODEL}/sha256-{sha256(content).hexdigest()}.onnx": content for content in ARTEFACTS.values()}
    bench.store = MemoryStores({name: dict(objects) for name in ENVIRONMENTS}).open
    return bench


@pytest.mark.parametrize("asks", [False, True])
def test_a_promotion_reads_each_file_once_and_again_only_where_it_must(
    asks: bool, project: Checkout, promotable: Bench, words: Words
) -> None:
    session = promotable.session()
    with reads(project) as counted:
        promote(session, MODEL, "prod", None, None, How(not asks, 180, words.console, lambda _: True))
    # At the start, under the lock, after the question, and right before it is written.
    again = 4 if asks else 3
    # Of the releases, only the one that is promoted.
    assert counted == {"Pulumi.test.yaml": 1, "Pulumi.prod.yaml": again, f"{SECOND}.yaml": 1}
    assert project.pointers("prod") == (SECOND, FIRST)


def test_a_status_reads_each_file_once(project: Checkout, promotable: Bench, stellwerk: Command) -> None:
    with reads(project) as counted:
        stellwerk("status")
    files = [*(f"Pulumi.{name}.yaml" for name in ENVIRONMENTS), f"{FIRST}.yaml", f"{SECOND}.yaml"]
    assert counted == dict.fromkeys(files, 1)


def test_what_was_read_stays_until_it_is_reloaded(project: Checkout, releases: Releases) -> None:
    opened = project.project()
    assert opened.pointers("prod", MODEL) == Pointers(None, None)
    project.point("prod", FIRST)
    assert opened.pointers("prod", MODEL) == Pointers(None, None)
    opened.reload("prod")
    assert opened.pointers("prod", MODEL) == Pointers(FIRST, None)
    assert opened.text("prod") == project.text("prod").decode()


def test_what_is_written_is_known(project: Checkout, releases: Releases) -> None:
    opened = project.project()
    opened.write("prod", opened.point("prod", MODEL, Pointers(SECOND, FIRST)))
    assert opened.pointers("prod", MODEL) == Pointers(SECOND, FIRST)
    assert config(opened.text("prod"))["models"][MODEL]["release"] == SECOND


def test_each_environment_but_the_first_has_a_source(project: Checkout) -> None:
    opened = project.project()
    assert [opened.source(name) for name in opened.environments] == [None, *opened.environments[:-1]]


def test_an_unknown_model_is_named_with_those_there_are(project: Checkout) -> None:
    with pytest.raises(DeliveryError, match=r"^stacks/Pulumi\.prod\.yaml: there is no model 'letters'; models there"):
        project.project().pointers("prod", "letters")


def test_an_unknown_environment_is_named_with_those_there_are(project: Checkout) -> None:
    with pytest.raises(StellwerkError, match='environment "prd": unknown; allowed: dev, test, prod; did you mean prod'):
        project.project().environment("prd")
