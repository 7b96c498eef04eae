"""Elasticsearch as what takes documents: its bulk API over one connection that is kept."""

import base64
import http.client
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_SECONDS = 30.0
# What passes: nobody logs in, may write, or has room, now. Whoever else is refused is refused for ever.
_WAIT_FOR = frozenset({401, 403, 408, 429})
# There already: it was sent before.
_EXISTS = 409


@dataclass(frozen=True)
class Document:
    """A document: the index that it belongs into, its id, and its fields as JSON without the closing brace."""

    index: str
    id: str
    text: bytes


class UnavailableError(Exception):
    """The store takes nothing now; the text says why."""


@dataclass(frozen=True)
class Refused:
    """A document that the store does not take, and its reason."""

    document: Document
    reason: str


class Store:
    """An https URL, and a folder with `username`, `password` and the authorities that are trusted as `ca.crt`."""

    def __init__(self, url: str, secrets: Path) -> None:
        """Connect to nothing yet."""
        self._place, self._secrets = urlsplit(url).netloc, secrets
        self._connection: http.client.HTTPSConnection | None = None
        self._login = ""

    def create(self, documents: Sequence[Document], ending: bytes) -> tuple[list[Document], list[Refused]]:
        """Create documents, each with `ending` after its fields; return those to be sent again, and the refused ones.

        One whose id is there is stored already. Raises UnavailableError when the store takes none of them.
        """
        parts = []
        for document in documents:
            action = json.dumps({"create": {"_index": document.index, "_id": document.id}})
            parts += [action.encode(), b"\n", document.text, ending]
        items = self._bulk(b"".join(parts))
        if len(items) != len(documents):
            raise UnavailableError(f"{len(items)} answers to {len(documents)} documents")
        again, refused = [], []
        for document, item in zip(documents, items, strict=True):
            status = item["create"]["status"]
            if status in _WAIT_FOR or status >= 500:
                again.append(document)
            elif status >= 300 and status != _EXISTS:
                refused.append(Refused(document, json.dumps(item["create"].get("error"))))
        return again, refused

    def _bulk(self, body: bytes) -> list[dict[str, dict[str, int]]]:
        path = "/_bulk?filter_path=items.create.status,items.create.error.type,items.create.error.reason"
        try:
            connection = self._connection or self._connect()
            headers = {"Authorization": self._login, "Content-Type": "application/x-ndjson"}
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise UnavailableError(f"status {answer.status} {text[:200].decode(errors='replace')}")
            items: list[dict[str, dict[str, int]]] = json.loads(text)["items"]
            return items
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            self._close()
            raise UnavailableError(f"{type(error).__name__}: {error}") from error
        except UnavailableError:
            # The files are read again: a login that was changed is not for ever the wrong one.
            self._close()
            raise

    def _connect(self) -> http.client.HTTPSConnection:
        user, password = ((self._secrets / name).read_text() for name in ("username", "password"))
        self._login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(self._secrets / "ca.crt")
        self._connection = http.client.HTTPSConnection(self._place, timeout=_SECONDS, context=trust)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
