"""Titles and states of requirements: Jira, Cloud and Data Center, with Confluence, else the forge."""

import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from delivery.clients import tickets
from delivery.clients.forges.forge import Forge, Ticket
from delivery.clients.tickets import Page, Requirement, lookup
from delivery.errors import DeliveryError
from infra.contract.links import Links
from tests.delivery.trace.conftest import World, chains
from tests.support.checkout import MODEL, Checkout
from tests.support.documents import ENVIRONMENTS
from tests.support.session import Command

ISSUE = {"key": "ABC-12", "fields": {"summary": "Cross sevens", "status": {"name": "In Progress"}}}
PAGE = {"content": {"id": "7", "title": "Digits: goals"}, "url": "/spaces/ML/pages/7"}


@dataclass
class Atlassian:
    """Jira and Confluence on this machine; `asked` are path, query and login of each request."""

    url: str = ""
    login: str = ""
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)

    def answer(self, target: str, login: str | None) -> tuple[int, Any]:
        split = urlsplit(target)
        self.asked.append((split.path, parse_qs(split.query)))
        if login != self.login:
            return 401, {"errorMessages": ["who are you?"]}
        if split.path.endswith("/rest/api/2/issue/ABC-12"):
            return 200, ISSUE
        if split.path == "/wiki/rest/api/search":
            return 200, {"results": [PAGE], "_links": {"base": self.url}}
        return 404, {"errorMessages": ["Issue Does Not Exist"]}


@pytest.fixture
def atlassian(monkeypatch: pytest.MonkeyPatch) -> Iterator[Atlassian]:
    # On a busy machine it answers late.
    monkeypatch.setattr(tickets, "_SECONDS", 60)
    made = Atlassian()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = made.answer(self.path, self.headers["authorization"])
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_port}"
        yield made
        server.shutdown()
        thread.join()


def no_forge() -> Forge:
    raise DeliveryError("no forge is known")


def links(atlassian: Atlassian) -> Links:
    page = f"{atlassian.url}/wiki/search?text={{id}}"
    return Links(requirement=f"{atlassian.url}/jira/browse/{{id}}", page=page)


@pytest.mark.parametrize(
    ("variables", "login"),
    [
        ({"TOKEN": "word", "USER": "ada"}, f"Basic {b64encode(b'ada:word').decode()}"),
        ({"TOKEN": "word"}, "Bearer word"),
    ],
    ids=["cloud", "data center"],
)
def test_an_issue_of_jira_has_title_state_and_the_pages_that_name_it(
    variables: dict[str, str], login: str, atlassian: Atlassian
) -> None:
    atlassian.login = login
    given = {f"{product}_{name}": value for product in ("JIRA", "CONFLUENCE") for name, value in variables.items()}
    asked = lookup(links(atlassian), no_forge, given)
    page = Page("Digits: goals", f"{atlassian.url}/wiki/spaces/ML/pages/7")
    assert asked.ticket("ABC-12") == Requirement(
        "Cross sevens", "In Progress", f"{atlassian.url}/jira/browse/ABC-12", (page,)
    )
    assert asked.ticket("ABC-13") is None
    (issue, query), (_, search), _ = atlassian.asked
    assert (issue, query) == ("/jira/rest/api/2/issue/ABC-12", {"fields": ["summary,status"]})
    assert search["cql"] == ['type = page and text ~ "\\"ABC-12\\""']
    # What was asked once is known.
    asked.ticket("ABC-12")
    assert len(atlassian.asked) == 3


def test_a_login_that_is_refused_is_said_without_it(atlassian: Atlassian) -> None:
    atlassian.login = "Bearer another"
    with pytest.raises(DeliveryError, match=r"^Jira http://127.*JIRA_TOKEN and JIRA_USER$") as raised:
        lookup(links(atlassian), no_forge, {"JIRA_TOKEN": "canary"}).ticket("ABC-12")
    assert "canary" not in str(raised.value)


def test_without_a_token_nobody_is_asked(atlassian: Atlassian) -> None:
    assert lookup(links(atlassian), no_forge, {}).ticket("ABC-12") is None
    assert lookup(Links(), no_forge, {"JIRA_TOKEN": "word"}).ticket("ABC-12") is None
    assert atlassian.asked == []


def test_the_forge_is_asked_where_requirements_are_its_issues() -> None:
    known = {"#12": Ticket("#12", "Cross sevens", "open", "https://git.example.test/12")}
    forge: Any = SimpleNamespace(name="GitHub", ticket=known.get)
    asked = lookup(Links(), lambda: forge, {})
    assert asked.ticket("#12") == Requirement("Cross sevens", "open", "https://git.example.test/12")
    assert asked.ticket("#13") is None


def test_a_trace_has_titles_and_pages_and_says_where_it_could_not_ask(
    atlassian: Atlassian, project: Checkout, world: World, target_variables: dict[str, str], stellwerk: Command
) -> None:
    for name in ENVIRONMENTS:
        project.edit(name, lambda config: config.update(links=links(atlassian).model_dump(by_alias=True)))
    target_variables |= {"JIRA_TOKEN": "word", "CONFLUENCE_TOKEN": "word"}
    atlassian.login = "Bearer word"
    (chain,) = chains(stellwerk("trace", MODEL, "--prediction", "middle", "--json")[1])
    items = {item["name"]: item["about"] for item in chain["requirement"]["items"]}
    assert items["ABC-12"].startswith("Cross sevens (In Progress); in commit ")
    assert items["Digits: goals"] == "page of ABC-12"
    assert items["ABC-7"] == "in the release file; Jira knows no such one"
    atlassian.login = "Bearer another"
    code, out, _ = stellwerk("trace", MODEL, "--prediction", "middle", "--json")
    (chain,) = chains(out)
    assert (code, chain["requirement"]["state"]) == (0, "partly looked at")
    assert "JIRA_TOKEN" in chain["requirement"]["unknown"]
