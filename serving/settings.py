"""Settings of fetcher and server, read from the environment and checked before anything else happens."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import orjson

from serving.errors import StartError, brief

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# What a model is computed on.
CPU, CUDA = "cpu", "cuda"
DEFAULT_PATH = "/mnt/models/model.onnx"
_PART = "[A-Za-z0-9_][A-Za-z0-9._-]*"
_NAME = re.compile(rf"(?=.{{1,255}}$){_PART}(/{_PART})*")
# What each key of a further file must be, and how that is said.
_FILE_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": (
        lambda value: isinstance(value, str) and bool(_NAME.fullmatch(value)),
        "a path below the model's folder: names of letters, digits, '.', '_' and '-', which begin with none of '.' and "
        "'-', with '/' between them; at most 255 characters",
    ),
    "digest": (
        lambda value: isinstance(value, str) and bool(DIGEST.fullmatch(value)),
        "sha256: and 64 hexadecimal digits",
    ),
    "size": (lambda value: type(value) is int and value >= 0, "a number of bytes"),
    "key": (lambda value: isinstance(value, str) and bool(value), "the key of an object in the store"),
}


@dataclass(frozen=True)
class File:
    """A file of an artefact beside its model: its path below the folder, its digest, its size in bytes, its key."""

    name: str
    digest: str
    size: int
    key: str


@dataclass(frozen=True)
class Fetch:
    """Which artefact to fetch, the digest it must have (``sha256:<hex>``), and where it is put.

    `files` are put beside it.
    """

    bucket: str
    key: str
    digest: str
    path: Path
    files: tuple[File, ...] = ()


@dataclass(frozen=True)
class Serve:
    """What to serve and as what; `drain_seconds` is how long the server goes on after SIGTERM.

    `null_if_not_finite`: outputs that are not finite are null in JSON instead of a refusal. `hooks` is the folder of
    the model's own code, in an image that has some; `device` is what the model is computed on, "cpu" or "cuda".
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
    files: tuple[File, ...] = ()
    hooks: Path | None = None
    device: str = CPU


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


def _files(environ: Mapping[str, str], model: Path) -> tuple[File, ...]:
    """Return the files beside `model`: ARTEFACT_FILES is a JSON list of objects with the keys of File."""
    text = environ.get("ARTEFACT_FILES", "[]")
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise StartError(f"environment: ARTEFACT_FILES is no JSON: {error}") from error
    if not isinstance(entries, list):
        raise StartError(f"environment: ARTEFACT_FILES is {brief(entries)}; expected a list of objects")
    files = tuple(_file(index, entry) for index, entry in enumerate(entries))
    taken = {model.name}
    for file in files:
        if file.name in taken:
            raise StartError(f"environment: ARTEFACT_FILES names {file.name!r} twice, or as the model itself is called")
        taken.add(file.name)
    for name in taken & {folder.as_posix() for file in files for folder in PurePosixPath(file.name).parents}:
        raise StartError(f"environment: ARTEFACT_FILES has {name!r} as a file and as a folder")
    return files


def _file(index: int, entry: object) -> File:
    where = f"environment: ARTEFACT_FILES, entry {index} (counted from 0)"
    if not isinstance(entry, dict) or entry.keys() != _FILE_RULES.keys():
        raise StartError(f"{where} is {brief(entry)}; expected an object with the keys {', '.join(_FILE_RULES)}")
    for key, (allowed, rule) in _FILE_RULES.items():
        if not allowed(entry[key]):
            raise StartError(f"{where}: {key} is {brief(entry[key])}; expected {rule}")
    return File(**entry)


def fetch(environ: Mapping[str, str] = os.environ) -> Fetch:
    """Read the fetcher's settings; raises StartError that names every variable missing or not allowed."""
    given = _text(environ, ("MODEL_BUCKET", "MODEL_KEY", "MODEL_DIGEST"))
    path = Path(environ.get("MODEL_PATH", DEFAULT_PATH))
    return Fetch(given["MODEL_BUCKET"], given["MODEL_KEY"], given["MODEL_DIGEST"], path, _files(environ, path))


def serve(environ: Mapping[str, str] = os.environ) -> Serve:
    """Read the server's settings; raises StartError that names every variable missing or not allowed."""
    given = _text(environ, ("MODEL_NAME", "MODEL_DIGEST", "RELEASE", "RUN_ID", "ENVIRONMENT"))
    path = Path(environ.get("MODEL_PATH", DEFAULT_PATH))
    return Serve(
        model=given["MODEL_NAME"],
        digest=given["MODEL_DIGEST"],
        path=path,
        release=given["RELEASE"],
        run_id=given["RUN_ID"],
        environment=given["ENVIRONMENT"],
        port=_number(environ, "PORT", 8080, 1, 65535),
        drain_seconds=_number(environ, "DRAIN_SECONDS", 5, 0, 600),
        intra_op_threads=_number(environ, "INTRA_OP_THREADS", 1, 1, 256),
        max_body_bytes=_number(environ, "MAX_BODY_BYTES", 16 * 1024**2, 1024, 1024**3),
        null_if_not_finite=_choice(environ, "NONFINITE_OUTPUTS", ("refuse", "null")) == "null",
        files=_files(environ, path),
        hooks=Path(environ["MODEL_HOOKS"]) if environ.get("MODEL_HOOKS") else None,
        device=_choice(environ, "STELLWERK_DEVICE", (CPU, CUDA)),
    )
