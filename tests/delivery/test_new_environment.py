"""`stellwerk init <new> --after <environment>`: the stack file is written, and the rest is as for every environment."""

import shutil

import pytest

from delivery.operations.init import init
from infra.contract.errors import StellwerkError
from infra.contract.stacks import BASE, file_name
from infra.values import ROOT
from tests.delivery.test_init import made, secrets
from tests.support.checkout import MODEL, Checkout
from tests.support.documents import ENVIRONMENTS
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Command, Words

__all__ = ["made"]


@pytest.fixture
def based(project: Checkout) -> Checkout:
    """The stack files of this checkout as they are, on top of the base."""
    for name in (BASE, *map(file_name, ENVIRONMENTS)):
        shutil.copy(ROOT / name, project.root / name)
    for name in ENVIRONMENTS:
        project.edit(name, lambda config: config["models"][MODEL].update(release=None, previous=None))
    return project


def ports(project: Checkout, *names: str) -> list[int]:
    return [port.port for name in names for port in project.project().stack(name).node_ports()]


@pytest.mark.parametrize("after", ENVIRONMENTS)
def test_the_file_says_what_differs(after: str, based: Checkout, made: FakeEngine, bench: Bench, words: Words) -> None:
    taken = ports(based, *ENVIRONMENTS)
    init(bench.session(), "staging", words.console, after)
    project = based.project()
    values, text = project.environment("staging"), based.file("staging").read_text()
    assert text.partition("  stellwerk:caCertificate")[0].count("\n") <= 15
    assert project.environments.index("staging") > project.environments.index(after)
    assert project.source("staging") == after
    assert not set(ports(based, "staging")) & set(taken)
    assert len(ports(based, "staging")) == 2
    assert based.pointers("staging") == (None, None)
    assert values.roles == project.environment(after).roles
    assert values.cluster.shared, "the cluster has an owner already"
    assert "staging: wrote stacks/Pulumi.staging.yaml; commit it" in words


def test_its_stack_its_login_and_its_credentials_are_made(
    based: Checkout, made: FakeEngine, bench: Bench, words: Words
) -> None:
    before = secrets(made, "dev")["registry"]
    init(bench.session(), "staging", words.console, "test")
    assert "staging" in made.known
    owner, own = secrets(made, "dev")["registry"], secrets(made, "staging")["registry"]
    assert own == {"username": "staging", "password": owner["logins"]["staging"]}
    assert {**owner["logins"], "staging": None} == {**before["logins"], "staging": None}
    assert owner["htpasswd"].startswith(before["htpasswd"]), "the hashes of the others stay"
    assert "`pulumi up --stack dev` makes it known there" in words
    made.commands.clear()
    init(bench.session(), "staging", words.console, "test")
    assert "staging: credentials are complete" in words
    assert [command for command in made.commands if command[1] in ("init", "set")] == []


def test_two_new_ones_have_ports_of_their_own(based: Checkout, made: FakeEngine, bench: Bench, words: Words) -> None:
    for name in ("staging", "canteen"):
        init(bench.session(), name, words.console, "test")
    given = ports(based, *based.project().environments)
    assert len(given) == len(set(given))


def test_where_nothing_is_shared_the_new_one_is_as_its_source(
    project: Checkout, made: FakeEngine, bench: Bench, words: Words
) -> None:
    project.edit("test", lambda config: config["quota"].update(pods=17))
    init(bench.session(), "staging", words.console, "test")
    own, source = project.config("staging"), project.config("test")
    assert own["quota"] == source["quota"]
    assert own["objectStore"] == {**source["objectStore"], "nodePort": own["objectStore"]["nodePort"]}
    assert own["caCertificate"] != source["caCertificate"]


def refused(bench: Bench, words: Words, name: str, after: str | None) -> str:
    with pytest.raises(StellwerkError) as raised:
        init(bench.session(), name, words.console, after)
    return str(raised.value)


def test_without_a_file_it_has_to_be_said_what_it_follows(made: FakeEngine, bench: Bench, words: Words) -> None:
    assert refused(bench, words, "staging", None) == (
        "stacks/Pulumi.staging.yaml: there is no such file; `stellwerk init staging --after <environment>` writes it, "
        "and names the environment that it takes releases from; environments: dev, test, prod"
    )


@pytest.mark.parametrize(
    ("name", "after", "message"),
    [
        ("staging", "tset", 'environment "tset": unknown; allowed: dev, test, prod; did you mean test?'),
        ("Staging", "test", 'environment "Staging": not a name; allowed: lower-case letters'),
        (
            "prod",
            "dev",
            "stacks/Pulumi.prod.yaml: it takes releases from test, not from dev; change",
        ),
        ("dev", "test", "stacks/Pulumi.dev.yaml: it takes releases from training, not from test"),
    ],
)
def test_what_does_not_fit_writes_nothing(
    name: str, after: str, message: str, project: Checkout, made: FakeEngine, bench: Bench, words: Words
) -> None:
    before = {file: file.read_bytes() for file in (project.root / "stacks").iterdir()}
    assert refused(bench, words, name, after).startswith(message)
    assert {file: file.read_bytes() for file in (project.root / "stacks").iterdir()} == before


def test_an_existing_file_that_agrees_is_kept(project: Checkout, made: FakeEngine, bench: Bench, words: Words) -> None:
    before = project.text("prod")
    init(bench.session(), "prod", words.console, "test")
    assert project.text("prod") == before


def test_a_base_that_says_too_little_is_named(project: Checkout, made: FakeEngine, bench: Bench, words: Words) -> None:
    message = refused(bench, words, "staging", "dev")
    assert message.startswith("stacks/base.yaml does not say all that staging needs; put there what environments share")
    assert "stacks/Pulumi.staging.yaml: stellwerk:quota" in message
    assert not project.file("staging").exists()


def test_the_command_takes_one_new_environment_at_a_time(based: Checkout, made: FakeEngine, stellwerk: Command) -> None:
    code, _, err = stellwerk("init", "staging", "canteen", "--after", "test")
    assert code == 2
    assert "one environment at a time" in err
    code, _, err = stellwerk("init", "staging", "--after", "test")
    assert code == 0, err
    assert based.file("staging").exists()
