"""Settings of fetcher and server, read from the environment and checked before anything else happens."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.errors import StartError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
DEFAULT_PATH = "/mnt/models/model.onnx"


@dataclass(frozen=True)
class Fetch:
    """Which artefact to fetch, the digest it must have (``sha256:<hex>``), and where it is put."""

    bucket: str
    key: str
    digest: str
    path: Path


@dataclass(frozen=True)
class Serve:
    """What to serve and as what; `drain_seconds` is how long the server goes on after SIGTERM.

    `null_if_not_finite`: outputs that are not finite are null in JSON instead of a refusal.
    """

    model: str
    digest: str
    path: Path
    release: str
    run_id: str
    environment: str
    port: int
    drain_seconds: float
    intra_op_threads: int
    max_body_bytes: int
    null_if_not_finite: bool


def _text(environ: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise StartError(f"environment: {', '.join(missing)} must be set; the inference service sets them")
    if not DIGEST.fullmatch(environ["MODEL_DIGEST"]):
        raise StartError(
            f"environment: MODEL_DIGEST is {environ['MODEL_DIGEST']!r}; expected sha256: and 64 hexadecimal digits"
        )
    return {name: environ[name] for name in names}


def _number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name, str(default))
    if not text.isdecimal() or not least <= int(text) <= most:
        raise StartError(f"environment: {name} is {text!r}; allowed are whole numbers from {least} to {most}")
    return int(text)


def _choice(environ: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """Return one of `allowed`; the first is the default."""
    text = environ.get(name, allowed[0])
    if text not in allowed:
        raise StartError(f"environment: {name} is {text!r}; allowed are {', '.join(allowed)}")
    return text


def fetch(environ: Mapping[str, str] = os.environ) -> Fetch:
    """Read the fetcher's settings; raises StartError that names every variable missing or not allowed."""
    given = _text(environ, ("MODEL_BUCKET", "MODEL_KEY", "MODEL_DIGEST"))
    path = Path(environ.get("MODEL_PATH", DEFAULT_PATH))
    return Fetch(given["MODEL_BUCKET"], given["MODEL_KEY"], given["MODEL_DIGEST"], path)


def serve(environ: Mapping[str, str] = os.environ) -> Serve:
    """Read the server's settings; raises StartError that names every variable missing or not allowed."""
    given = _text(environ, ("MODEL_NAME", "MODEL_DIGEST", "RELEASE", "RUN_ID", "ENVIRONMENT"))
    return Serve(
        model=given["MODEL_NAME"],
        digest=given["MODEL_DIGEST"],
        path=Path(environ.get("MODEL_PATH", DEFAULT_PATH)),
        release=given["RELEASE"],
        run_id=given["RUN_ID"],
        environment=given["ENVIRONMENT"],
        port=_number(environ, "PORT", 8080, 1, 65535),
        drain_seconds=_number(environ, "DRAIN_SECONDS", 5, 0, 600),
        intra_op_threads=_number(environ, "INTRA_OP_THREADS", 1, 1, 256),
        max_body_bytes=_number(environ, "MAX_BODY_BYTES", 16 * 1024**2, 1024, 1024**3),
        null_if_not_finite=_choice(environ, "NONFINITE_OUTPUTS", ("refuse", "null")) == "null",
    )
