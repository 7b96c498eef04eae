"""`stellwerk logs`: finds log lines in the log store by model, run, release and request."""

import time
from typing import Any

import httpx

from components.kit.names import LOG_INDEX_PATTERN, TIME_FIELD
from delivery.clients import engine
from delivery.clients.endpoint import trust
from delivery.errors import DeliveryError
from infra.contract.environment import Environment
from infra.services import logging
from infra.values import ENVIRONMENTS, file_name, from_file

_WAIT_SECONDS = 60


def logs(filters: dict[str, str], limit: int, *, wait: bool) -> list[dict[str, Any]]:
    """Log lines whose fields equal the filters, newest first; with `wait`, until there is at least one.

    Raises DeliveryError when there is no log store here, it does not answer, or nothing comes in time.
    """
    owner = _owner()
    password = _password(owner.environment.value)
    address = logging.url(owner)
    deadline = time.monotonic() + (_WAIT_SECONDS if wait else 0)
    with httpx.Client(verify=trust(owner), auth=("reader", password), timeout=20, trust_env=False) as client:
        while True:
            hits = _search(client, address, filters, limit)
            if hits or time.monotonic() > deadline:
                break
            time.sleep(0.5)
    if wait and not hits:
        asked = ", ".join(f"{field}={value}" for field, value in filters.items())
        raise DeliveryError(f"no log line with {asked} came within {_WAIT_SECONDS} s")
    return hits


def _password(environment: str) -> str:
    """Return the password of the log store's reader."""
    try:
        password: str = engine.credentials(environment)["logStore"]["users"]["reader"]["password"]
        return password
    except (KeyError, TypeError, ValueError):
        raise DeliveryError(
            f"{file_name(environment)}: stellwerk:credentials has no user of the log store; "
            f"run `stellwerk init {environment}`"
        ) from None


def _owner() -> Environment:
    for name in ENVIRONMENTS:
        values = from_file(name).environment
        if logging.runs(values):
            return values
    raise DeliveryError("no environment runs a log store (stellwerk:logging mode: embedded); ask your own one")


def _search(client: httpx.Client, address: str, filters: dict[str, str], limit: int) -> list[dict[str, Any]]:
    query = {
        "size": limit,
        "sort": [{TIME_FIELD: {"order": "desc", "unmapped_type": "date"}}],
        "query": {"bool": {"filter": [{"term": {field: value}} for field, value in filters.items()]}},
    }
    url = f"{address}/{LOG_INDEX_PATTERN}/_search?ignore_unavailable=true"
    try:
        answer = client.post(url, json=query)
        # While the index is being made, its first parts do not answer yet.
        if answer.status_code == 503:
            return []
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise DeliveryError(f"log store {address}: {error}; see `kubectl get pods --all-namespaces`") from error
    return [hit["_source"] for hit in answer.json()["hits"]["hits"]]
