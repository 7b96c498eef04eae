"""Which release servers answer: asked once per run, all at the same time."""

import ssl
import threading
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx

PATIENCE_S = 2.0


def client(timeout_s: float) -> httpx.Client:
    """Return an HTTP client that trusts the system's authorities (SSL_CERT_FILE included) and uses its proxies."""
    return httpx.Client(timeout=timeout_s, follow_redirects=True, verify=ssl.create_default_context())


class Hosts:
    """Remembers which origins answered."""

    def __init__(self, patience_s: float | None = None) -> None:
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._answers: dict[str, bool] = {}

    def check(self, urls: Iterable[str]) -> None:
        """Ask the origins of `urls` not asked yet; return after `patience_s` seconds at the latest."""
        origins = {origin(url) for url in urls} - self._answers.keys()
        if not origins:
            return
        answers = dict.fromkeys(origins, False)
        with client(self._patience_s) as session:
            threads = [threading.Thread(target=_ask, args=(session, o, answers), daemon=True) for o in origins]
            for thread in threads:
                thread.start()
            # A resolver without a network can hang longer than any HTTP timeout; daemon threads are left behind.
            patience = threading.Event()
            timer = threading.Timer(self._patience_s, patience.set)
            timer.daemon = True
            timer.start()
            while any(thread.is_alive() for thread in threads) and not patience.is_set():
                patience.wait(0.02)
            timer.cancel()
            self._answers.update(answers)

    def silent(self) -> list[str]:
        """Return the origins that were asked and did not answer."""
        return sorted(asked for asked, answered in self._answers.items() if not answered)

    def reachable(self, url: str) -> bool:
        """Return whether the origin of `url` answered."""
        self.check([url])
        return self._answers[origin(url)]


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _ask(session: httpx.Client, where: str, answers: dict[str, bool]) -> None:
    try:
        session.head(where, follow_redirects=False)
    except (httpx.HTTPError, RuntimeError):
        # RuntimeError: the client was closed because the patience ran out.
        return
    answers[where] = True
