"""`stellwerk init <new> --after <environment>`: the stack file is written, and the rest is as for every environment."""

import json
import shutil
from typing import Any

import httpx
import pytest

from delivery.operations.init import init
from delivery.operations.new_environment import Wanted
from infra.contract.errors import StellwerkError
from infra.contract.stacks import BASE, file_name
from tests.delivery.test_init import made, secrets
from tests.support.checkout import Checkout
from tests.support.documents import ENVIRONMENTS, TEAM
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Command, Words

__all__ = ["made"]


@pytest.fixture
def based(project: Checkout) -> Checkout:
    """The stack files as they are, on top of the base."""
    for name in (BASE, *map(file_name, ENVIRONMENTS)):
        shutil.copy(TEAM / name, project.root / name)
    return project


def ports(project: Checkout, *names: str) -> list[int]:
    return [port.port for name in names for port in project.project().stack(name).node_ports()]


@pytest.mark.parametrize("after", ENVIRONMENTS)
def test_the_file_says_what_differs(after: str, based: Checkout, made: FakeEngine, bench: Bench, words: Words) -> None:
    taken = ports(based, *ENVIRONMENTS)
    init(bench.session(), "staging", words.console, Wanted(after))
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
    init(bench.session(), "staging", words.console, Wanted("test"))
    assert "staging" in made.known
    owner, own = secrets(made, "dev")["registry"], secrets(made, "staging")["registry"]
    assert own == {"username": "staging", "password": owner["logins"]["staging"]}
    assert {**owner["logins"], "staging": None} == {**before["logins"], "staging": None}
    assert owner["htpasswd"].startswith(before["htpasswd"]), "the hashes of the others stay"
    assert "`pulumi up --stack dev` makes it known there" in words
    made.commands.clear()
    init(bench.session(), "staging", words.console, Wanted("test"))
    assert "staging: credentials are complete" in words
    assert [command for command in made.commands if command[1] in ("init", "set")] == []


def test_two_new_ones_have_ports_of_their_own(based: Checkout, made: FakeEngine, bench: Bench, words: Words) -> None:
    for name in ("staging", "canteen"):
        init(bench.session(), name, words.console, Wanted("test"))
    given = ports(based, *based.project().environments)
    assert len(given) == len(set(given))


def test_where_nothing_is_shared_the_new_one_is_as_its_source(
    project: Checkout, made: FakeEngine, bench: Bench, words: Words
) -> None:
    project.edit("test", lambda config: config["quota"].update(pods=17))
    init(bench.session(), "staging", words.console, Wanted("test"))
    own, source = project.config("staging"), project.config("test")
    assert own["quota"] == source["quota"]
    assert own["objectStore"] == {**source["objectStore"], "nodePort": own["objectStore"]["nodePort"]}
    assert own["caCertificate"] != source["caCertificate"]


def refused(bench: Bench, words: Words, name: str, after: str | None) -> str:
    with pytest.raises(StellwerkError) as raised:
        init(bench.session(), name, words.console, Wanted(after))
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
            "stacks/Pulumi.prod.yaml: stellwerk:releasesFrom is test, not dev; change it there",
        ),
        ("dev", "test", "stacks/Pulumi.dev.yaml: stellwerk:releasesFrom is null, not test"),
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
    init(bench.session(), "prod", words.console, Wanted("test"))
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


def test_a_second_team_on_the_cluster_is_one_more_file(
    based: Checkout, made: FakeEngine, bench: Bench, words: Words
) -> None:
    taken = ports(based, *ENVIRONMENTS)
    init(bench.session(), "vision-dev", words.console, Wanted(team="vision"))
    values = based.project().environment("vision-dev")
    assert based.file("vision-dev").read_text().partition("  stellwerk:caCertificate")[0].count("\n") <= 15
    assert (values.team, values.scope, values.releases_from) == ("vision", "vision-dev", None)
    assert values.cluster.shared
    assert values.roles.developers == ("vision-ml-engineers",)
    assert based.config("vision-dev")["models"] == {}
    assert not set(ports(based, "vision-dev")) & set(taken)
    assert secrets(made, "vision-dev")["registry"]["username"] == "vision-dev"
    assert based.config("vision-dev")["tracking"] == {
        "mode": "external",
        "url": "http://tracking.dev-platform.svc.cluster.local:5000",
    }
    init(bench.session(), "vision-prod", words.console, Wanted(after="vision-dev"))
    following = based.project().environment("vision-prod")
    assert (following.team, following.releases_from, following.roles) == ("vision", "vision-dev", values.roles)


def test_a_file_of_another_team_is_left_alone(project: Checkout, made: FakeEngine, bench: Bench, words: Words) -> None:
    with pytest.raises(StellwerkError, match=r"^stacks/Pulumi\.prod\.yaml: stellwerk:team is null, not vision; change"):
        init(bench.session(), "prod", words.console, Wanted(team="vision"))


def test_the_logs_of_a_team_are_asked_by_its_name_on_the_cluster(
    project: Checkout, bench: Bench, stellwerk: Command
) -> None:
    project.edit("prod", lambda config: config.update(team="vision"))
    asked: list[Any] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(200, json={"hits": {"hits": []}})

    bench.log_store = respond
    assert stellwerk("logs", "--env", "prod")[0] == 0
    assert asked[0]["query"]["bool"]["filter"] == [{"term": {"service.environment": "vision-prod"}}]
