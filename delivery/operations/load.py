"""A steady client that notices every failed answer of an endpoint."""

import threading
import time
from collections import Counter
from types import TracebackType
from typing import Self

import httpx

from delivery.clients.endpoint import RELEASE_HEADER, Endpoint
from delivery.operations.predict import request_body
from delivery.session import Session

_HEADERS = {"content-type": "application/json"}


class Load:
    """Context manager: one connection asks all the time, a fresh one every tenth time; failures are counted."""

    def __init__(self, session: Session, environment: str, model: str) -> None:
        self._target: Endpoint = session.endpoint(environment, model)
        self._body = request_body(session, environment, model, rows=1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.releases: Counter[str] = Counter()
        self.failed = 0
        self.first_failure = ""

    @property
    def answered(self) -> int:
        """How many requests were answered, by any release."""
        return sum(self.releases.values())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        kept = self._client()
        count = 0
        while not self._stop.is_set():
            count += 1
            client = self._client() if count % 10 == 0 else kept
            try:
                answer = client.post(self._target.infer_url, content=self._body, headers=_HEADERS)
                answer.raise_for_status()
                self.releases[answer.headers[RELEASE_HEADER]] += 1
            except (httpx.HTTPError, KeyError) as error:
                self.failed += 1
                self.first_failure = self.first_failure or repr(error)
            if client is not kept:
                client.close()
            time.sleep(0.02)
        kept.close()

    def _client(self) -> httpx.Client:
        return self._target.client(timeout=10)
