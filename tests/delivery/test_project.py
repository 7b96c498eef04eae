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
from tests.support import engine as fake
from tests.support.checkout import ARTEFACTS, FIRST, MODEL, SECOND, Checkout, config
from tests.support.documents import ENVIRONMENTS
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
    assert counted == {
        "Pulumi.dev.yaml": 1,
        "Pulumi.test.yaml": 1,
        "Pulumi.prod.yaml": again,
        f"{SECOND}.yaml": 1,
    }
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
    assert opened.environments == ENVIRONMENTS
    assert [opened.source(name) for name in opened.environments] == [None, *opened.environments[:-1]]


def add(project: Checkout, name: str, origin: str | None, **changed: Any) -> None:
    """Write another environment, as test is but for this."""
    project.file(name).write_text(project.file("test").read_text())
    project.edit(name, lambda config: config.update(environment=name, releasesFrom=origin, **changed))


def test_a_tree_of_environments_is_in_the_order_of_promotion_then_by_name(project: Checkout) -> None:
    add(project, "prod-us", "test")
    add(project, "abroad", "prod-us")
    add(project, "canteen", None)
    opened = project.project()
    assert opened.environments == ("canteen", "dev", "test", "prod", "prod-us", "abroad")
    assert opened.source("abroad") == "prod-us"


def test_a_file_that_is_wrong_keeps_nobody_from_the_other_environments(project: Checkout) -> None:
    add(project, "abroad", "nowhere")
    project.file("broken").write_text("config: [")
    (project.root / "stacks" / "Pulumi.My_Notes.yaml").write_text("no environment")
    opened = project.project()
    assert opened.environments == ("abroad", "broken", "dev", "test", "prod")
    assert opened.environment("dev")
    with pytest.raises(StellwerkError, match=r"^stacks/Pulumi\.abroad\.yaml:\d+: stellwerk:releasesFrom"):
        opened.environment("abroad")


def test_a_circle_is_an_error_of_those_in_it(project: Checkout) -> None:
    project.edit("test", lambda config: config.update(releasesFrom="prod"))
    opened = project.project()
    assert set(opened.environments) == set(ENVIRONMENTS)
    assert opened.environment("dev")
    with pytest.raises(StellwerkError, match="a circle: prod from test from prod"):
        opened.source("prod")


def test_a_model_is_trained_where_its_pipeline_is(project: Checkout) -> None:
    assert project.project().trainer(MODEL) == "dev"
    pipelines = project.config("dev")["training"]
    enabled = {"tracking": {"mode": "embedded"}, "images": {"basePython": {"build": True}}}
    add(project, "lab", None, training=pipelines, **enabled)
    with pytest.raises(DeliveryError, match=f"^{MODEL} is trained in dev, lab; say in which one with --env$"):
        project.project().trainer(MODEL)
    assert project.project().trainer(MODEL, "lab") == "lab"
    with pytest.raises(DeliveryError, match=r"^stacks/Pulumi\.test\.yaml: .* has no 'digits'; .* none$"):
        project.project().trainer(MODEL, "test")


def test_an_unknown_model_is_named_with_those_there_are(project: Checkout) -> None:
    with pytest.raises(DeliveryError, match=r"^stacks/Pulumi\.prod\.yaml: there is no model 'letters'; models there"):
        project.project().pointers("prod", "letters")


def test_an_unknown_environment_is_named_with_those_there_are(project: Checkout) -> None:
    with pytest.raises(StellwerkError, match='environment "prd": unknown; allowed: dev, test, prod; did you mean prod'):
        project.project().environment("prd")
