"""Titles and states of requirements, as far as a token lets them be asked for: Jira with Confluence, else the forge."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

from delivery.clients import forges
from delivery.clients.forges.forge import Forge
from delivery.errors import DeliveryError
from infra.contract.environment import Environment
from infra.contract.links import Links

JIRA, CONFLUENCE = "JIRA", "CONFLUENCE"
# What Jira's addresses of issues end with.
_JIRA = re.compile(r"(https?://[^{}]+)/browse/\{id\}")
# Where Confluence begins: at its host, or below the one folder that it is served in.
_CONFLUENCE = re.compile(r"https?://[^/{}]+(/wiki|/confluence)?(?=/)")
_SECONDS = 10
_PAGES = 5


@dataclass(frozen=True)
class Page:
    """A page that names a requirement."""

    title: str
    url: str


@dataclass(frozen=True)
class Requirement:
    """A requirement as its tracker has it, with the pages that name it."""

    title: str
    state: str
    url: str
    pages: tuple[Page, ...] = ()


@dataclass(frozen=True)
class Lookup:
    """Where requirements are looked up; `name` is whom it asks, empty where it asks nobody."""

    name: str = ""
    ask: Callable[[str], Requirement | None] = field(default=lambda _: None)

    def ticket(self, key: str) -> Requirement | None:
        """Return a requirement, None where there is none; raise DeliveryError where its tracker does not answer."""
        return self.ask(key)


def lookup(links: Links, forge: Callable[[], Forge], variables: Mapping[str, str]) -> Lookup:
    """Return who is asked: Jira by JIRA_TOKEN where requirements are there, else the forge where it has a token.

    JIRA_USER beside it means an API token of Jira Cloud; without it, a personal access token of Data Center. The same
    of CONFLUENCE_TOKEN and the pages.
    """
    if base := _JIRA.fullmatch(links.requirement or ""):
        if not _token(JIRA, variables):
            return Lookup()
        pages = _CONFLUENCE.match(links.page or "")
        wiki = _Atlassian(CONFLUENCE, pages[0], variables) if pages and _token(CONFLUENCE, variables) else None
        return Lookup("Jira", cache(partial(_issue, _Atlassian(JIRA, base[1], variables), wiki)))
    try:
        known = forge()
    except DeliveryError:
        # Nobody has given a token: titles are left away.
        return Lookup()
    return Lookup(known.name, cache(partial(_of_forge, known)))


def of(environment: Environment, root: Path, variables: Mapping[str, str]) -> Lookup:
    """Return who is asked for the requirements of a checkout by the values of one of its environments."""
    return lookup(environment.links, lambda: forges.forge(root, environment.forge, variables), variables)


def _of_forge(forge: Forge, key: str) -> Requirement | None:
    ticket = forge.ticket(key)
    return Requirement(ticket.title, ticket.state, ticket.url) if ticket else None


def _token(product: str, variables: Mapping[str, str]) -> str | None:
    return variables.get(f"{product}_TOKEN")


class _Atlassian:
    """Jira or Confluence at an address, Cloud or Data Center."""

    def __init__(self, product: str, base: str, variables: Mapping[str, str]) -> None:
        # It takes long to import, and few traces need it.
        from atlassian.rest_client import AtlassianRestAPI

        self.base, self._product = base, product.capitalize()
        user, token = variables.get(f"{product}_USER"), _token(product, variables)
        login = {"username": user, "password": token, "cloud": True} if user else {"token": token}
        self._client = AtlassianRestAPI(base, timeout=_SECONDS, **login)

    def get(self, path: str, **query: Any) -> dict[str, Any] | None:
        """Return an answer, None where there is nothing; raise DeliveryError where it does not answer or refuses."""
        from atlassian.errors import ApiError
        from requests import RequestException

        try:
            answer = self._client.get(path, params=query, advanced_mode=True)
            if answer.status_code == 404:
                return None
            answer.raise_for_status()
            document: dict[str, Any] = answer.json()
        except (RequestException, ApiError, ValueError) as error:
            name = self._product.upper()
            raise DeliveryError(f"{self._product} {self.base}: {error}; look at {name}_TOKEN and {name}_USER") from None
        return document


def _issue(jira: _Atlassian, wiki: _Atlassian | None, key: str) -> Requirement | None:
    """Return an issue of Jira, with the pages of Confluence that name it."""
    issue = jira.get(f"rest/api/2/issue/{key}", fields="summary,status")
    if issue is None:
        return None
    fields = issue["fields"]
    pages = _pages(wiki, key) if wiki else ()
    return Requirement(fields["summary"], fields["status"]["name"], f"{jira.base}/browse/{key}", pages)


def _pages(wiki: _Atlassian, key: str) -> tuple[Page, ...]:
    words = key.replace("\\", "").replace('"', "")
    hits = wiki.get("rest/api/search", cql=f'type = page and text ~ "\\"{words}\\""', limit=_PAGES) or {}
    return tuple(Page(each["content"]["title"], f"{wiki.base}{each['url']}") for each in hits.get("results", []))
