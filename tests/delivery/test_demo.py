"""What the demo knows of the files that its commands write, and which of its commands run at the same time."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from delivery.clients.engine import Engine
from delivery.errors import DeliveryError
from delivery.operations.demo import Demo, apply_environments, make_releases
from tests.support.checkout import MODEL, SECOND
from tests.support.session import Bench, FakeSession, Words


def test_what_a_command_has_written_is_read_again(bench: Bench, words: Words, tmp_path: Path) -> None:
    engine = Engine(bench.checkout.root, {"PATH": f"{tmp_path}:/usr/bin:/bin"}, bench.clock)
    session = FakeSession(bench.checkout.project(), engine)
    assert session.project.pointers("prod", MODEL).release is None
    promote = tmp_path / "pulumi"
    promote.write_text(f"#!/bin/sh\nsed -i 's/release: null/release: {SECOND}/' {bench.checkout.file('prod')}\n")
    promote.chmod(0o755)
    Demo(session, words.console, MODEL, ()).pulumi("up", "--stack", "prod")
    assert f"release: {SECOND}" in session.project.text("prod")


# dev ends once the others were started, within a minute; each says that it was applied.
_ENGINE = """#!/bin/sh
stack=$3
echo "$stack" >> {place}/order
case "$stack" in
dev)
    tries=0
    while [ "$(sort -u {place}/order | wc -l)" -lt {others} ]; do
        tries=$((tries + 1))
        [ $tries -lt 600 ] || exit 7
        sleep 0.1
    done ;;
test) echo "test says: $*"; exit {test_ends_with} ;;
esac
echo "$stack says: $*"
"""


@pytest.fixture
def demo(bench: Bench, words: Words, tmp_path: Path) -> Demo:
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PULUMI_BACKEND_URL": f"file://{tmp_path}/backend"}
    engine = Engine(bench.checkout.root, variables, bench.clock)
    return Demo(FakeSession(bench.checkout.project(), engine), words.console, MODEL, ())


def engine(place: Path, others: int, test_ends_with: int = 0) -> None:
    (place / "pulumi").write_text(_ENGINE.format(place=place, others=others, test_ends_with=test_ends_with))
    (place / "pulumi").chmod(0o755)


def test_without_a_release_all_environments_are_applied_at_the_same_time(
    demo: Demo, words: Words, tmp_path: Path
) -> None:
    engine(tmp_path, others=3)
    apply_environments(demo)
    assert [title for title, _ in demo.seconds] == ["Environment dev", "Environment test", "Environment prod"]
    assert "$ pulumi up --stack test --yes --skip-preview\ntest says: up --stack test --yes" in words
    assert "prod says: up --stack prod" in words


def test_an_environment_that_fails_beside_the_first_is_an_error(demo: Demo, words: Words, tmp_path: Path) -> None:
    engine(tmp_path, others=3, test_ends_with=4)
    with pytest.raises(DeliveryError, match=r"`pulumi up --stack test --yes --skip-preview` ended with 4"):
        apply_environments(demo)
    assert "test says: up --stack test" in words


@pytest.mark.usefixtures("releases")
def test_with_a_release_each_environment_waits_for_the_one_before(demo: Demo, bench: Bench, tmp_path: Path) -> None:
    engine(tmp_path, others=1)
    bench.checkout.point("prod", SECOND)
    apply_environments(demo)
    assert (tmp_path / "order").read_text().split() == ["dev", "test", "prod"]


@dataclass
class Asking(Demo):
    """A demo whose commands answer at once: a Job is named by its parameters, a release by its Job."""

    asked: list[tuple[str, ...]] = field(default_factory=list)

    def ask(self, *arguments: str) -> Any:
        self.asked.append(arguments)
        named = "-".join(word for word in arguments[2:] if not word.startswith("--")) or "usual"
        return {"job": named, "release": f"of-{named}", "file": named}


def test_both_models_train_before_one_is_waited_for(demo: Demo) -> None:
    asking = Asking(demo.session, demo.console, MODEL, ("epochs=3",))
    assert make_releases(asking) == ("of-epochs=3", "of-usual")
    first = ("--param", "epochs=3")
    assert asking.asked == [
        ("train", MODEL, *first), ("train", MODEL), ("train", MODEL, "--wait", *first),
        ("release", MODEL, "--job", "epochs=3"), ("train", MODEL, "--wait"), ("release", MODEL, "--job", "usual"),
    ]  # fmt: skip
    assert [title.split(":")[0] for title, _ in asking.seconds] == ["First model", "Second model"]


def test_a_release_of_each_model_of_the_demo_counts(demo: Demo, bench: Bench, tmp_path: Path) -> None:
    engine(tmp_path, others=1)
    for name in ("dev", "test", "prod"):
        stated = {"release": SECOND if name == "prod" else None, "previous": None}
        bench.checkout.edit(name, lambda values, stated=stated: values["models"].update(scorer=stated))
    apply_environments(replace(demo, others=("scorer",)))
    assert (tmp_path / "order").read_text().split() == ["dev", "test", "prod"]
