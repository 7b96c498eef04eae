"""`stellwerk logs`: finds log lines in the log store by model, run, release and request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from components.kit.names import LOG_INDEX_PATTERN, RELEASE_FIELD, REQUEST_FIELD, TIME_FIELD
from delivery.clients.endpoint import trust
from delivery.clients.engine import Engine
from delivery.clock import Clock
from delivery.errors import DeliveryError
from delivery.project import Project
from infra.contract.problems import proved
from infra.services import logging
from infra.values import file_name

_WAIT_SECONDS = 60


@dataclass(frozen=True)
class LogStore:
    """Where the log store answers, and a client that has its reader's login."""

    address: str
    client: httpx.Client
    clock: Clock = field(default_factory=Clock)

    def search(self, filters: Mapping[str, str], limit: int, *, wait: bool) -> list[dict[str, Any]]:
        """Return log lines whose fields equal the filters, newest first; with `wait`, until there is at least one.

        Raise DeliveryError when the store does not answer, or nothing comes in time.
        """
        deadline = self.clock.monotonic() + (_WAIT_SECONDS if wait else 0)
        with self.client:
            while True:
                hits = self._search(filters, limit)
                if hits or self.clock.monotonic() > deadline:
                    break
                self.clock.sleep(0.5)
        if wait and not hits:
            asked = ", ".join(f"{field}={value}" for field, value in filters.items())
            raise DeliveryError(f"no log line with {asked} came within {_WAIT_SECONDS} s")
        return hits

    def predictions(self, filters: Mapping[str, str], releases: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the newest line of a prediction of each of these releases that has one; the fields equal the filters.

        Raise DeliveryError when the store does not answer.
        """
        more: list[dict[str, Any]] = [{"terms": {RELEASE_FIELD: list(releases)}}, {"exists": {"field": REQUEST_FIELD}}]
        with self.client:
            hits = self._search(filters, len(releases), more, {"collapse": {"field": RELEASE_FIELD}})
        lines = [flat(hit) for hit in hits]
        return {line[RELEASE_FIELD]: line for line in lines}

    def _search(
        self,
        filters: Mapping[str, str],
        limit: int,
        more: Sequence[Mapping[str, Any]] = (),
        options: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        query = {
            "size": limit,
            "sort": [{TIME_FIELD: {"order": "desc", "unmapped_type": "date"}}],
            "query": {"bool": {"filter": [*({"term": {field: value}} for field, value in filters.items()), *more]}},
            **(options or {}),
        }
        url = f"{self.address}/{LOG_INDEX_PATTERN}/_search?ignore_unavailable=true"
        try:
            answer = self.client.post(url, json=query)
            # While the index is being made, its first parts do not answer yet.
            if answer.status_code == 503:
                return []
            answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            place = "see `kubectl get pods --all-namespaces`"
            raise DeliveryError(f"log store {self.address}: {error}; {place}") from error
        return [hit["_source"] for hit in answer.json()["hits"]["hits"]]


def flat(line: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the fields of a line by their dotted names, whichever way it was written."""
    fields: dict[str, Any] = {}
    for key, value in line.items():
        fields |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return fields


def log_store(project: Project, engine: Engine, environment: str | None = None) -> LogStore:
    """Return the log store that an environment names by its URL, else the one that an environment of the project runs.

    Raise DeliveryError when there is none.
    """
    asked = project.environments if environment is None else (environment, *project.environments)
    named = {name: values for name in asked if logging.url(values := project.environment(name))}
    # Without a URL of its own an environment's logs are in the store of the cluster's owner.
    owner = next((name for name, values in named.items() if logging.runs(values)), None)
    chosen = environment if environment in named else owner or next(iter(named), None)
    if chosen is None:
        raise DeliveryError(
            "no environment runs a log store (stellwerk:logging mode: embedded) or names one (url); ask your own one"
        )
    client = httpx.Client(verify=trust(named[chosen]), auth=_login(engine, chosen), timeout=20, trust_env=False)
    return LogStore(proved(logging.url(named[chosen])), client, engine.clock)


def _login(engine: Engine, environment: str) -> tuple[str, str]:
    """Return the login that reads: of the environment's own store, or of the one that it names."""
    try:
        keys = engine.credentials(environment)["logStore"]
        if "users" in keys:
            return "reader", keys["users"]["reader"]["password"]
        return keys["username"], keys["password"]
    except (KeyError, TypeError, ValueError):
        raise DeliveryError(
            f"{file_name(environment)}: stellwerk:credentials has no user of the log store; "
            f"run `stellwerk init {environment}`"
        ) from None
