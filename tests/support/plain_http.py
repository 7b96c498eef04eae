"""Requests without TLS, each on a connection of its own; the authorities of this machine take long to load."""

import ssl
from typing import Any

import httpx

_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# Seconds: a server on a busy machine answers late.
PATIENCE = 60.0


def client(**options: Any) -> httpx.Client:
    """Return a client; `options` are httpx's."""
    return httpx.Client(verify=_NO_AUTHORITIES, **{"timeout": PATIENCE, **options})


def request(method: str, url: str, **options: Any) -> httpx.Response:
    """Send one request; `options` are httpx's."""
    return httpx.request(method, url, verify=_NO_AUTHORITIES, **{"timeout": PATIENCE, **options})


def get(url: str, **options: Any) -> httpx.Response:
    """Send a GET request."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> httpx.Response:
    """Send a POST request."""
    return request("POST", url, **options)
