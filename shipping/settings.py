"""Whether and where to a process ships its lines, by environment variables that the pod's component sets."""

import atexit
from collections.abc import Mapping
from pathlib import Path

from shipping.shipper import Origin, Shipper, say
from shipping.store import Store

_NEEDED = ("LOG_SECRETS", "LOG_CONTAINER", "POD_NAMESPACE", "POD_NAME", "POD_UID")


def start(environ: Mapping[str, str], service: str) -> Shipper | None:
    """Return what ships the lines of this process, None where `LOG_STORE` is not set: the node's shipper does.

    `LOG_STORE` is the https URL of the store, `LOG_SECRETS` a folder with `username`, `password` and `ca.crt`; lines
    go to `LOG_DATA_STREAM`, or into daily indices whose names begin with `LOG_INDEX`. What waits is sent when the
    process ends. Where a variable is missing or not allowed, one line says so, and the node's shipper has the lines:
    no log keeps a model from being served.
    """
    url = environ.get("LOG_STORE")
    if not url:
        return None
    origin = Origin(
        namespace=environ.get("POD_NAMESPACE", ""),
        pod=environ.get("POD_NAME", ""),
        uid=environ.get("POD_UID", ""),
        container=environ.get("LOG_CONTAINER", ""),
        service=service,
        environment=environ.get("ENVIRONMENT", ""),
    )
    stream, index = environ.get("LOG_DATA_STREAM"), environ.get("LOG_INDEX")
    missing = [name for name in _NEEDED if not environ.get(name)]
    missing += [] if stream or index else ["LOG_DATA_STREAM or LOG_INDEX"]
    wrong = f"{', '.join(missing)} must be set where LOG_STORE is" if missing else ""
    if not url.startswith("https://"):
        wrong = f"LOG_STORE is {url!r}; allowed is an https URL"
    if wrong:
        print(say(origin, "error", f"environment: {wrong}; this process ships no lines").decode(), end="", flush=True)
        return None
    shipper = Shipper(Store(url, Path(environ["LOG_SECRETS"])), stream or index or "", not stream, origin)
    atexit.register(shipper.close)
    return shipper
