"""Data sets: where a table is, and under which key a store keeps one by its content."""

from typing import Annotated

from pydantic import AfterValidator, Field

# The part of an environment's bucket that holds data to train on: a training Job reads no other.
FOLDER = "data"
# Beside it, what models are tested on: no training Job reads it.
TEST_FOLDER = "testsets"
ENDINGS = (".csv", ".parquet")
SCHEME = "s3://"
SOURCE_RULE = f"a table ({' or '.join(ENDINGS)}): a file of the model's folder, or {SCHEME}<bucket>/<key>"


def _check_source(source: str) -> str:
    path = source.removeprefix(SCHEME)
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{SOURCE_RULE}, without '.', '..' and empty names in its path")
    return source


DataSource = Annotated[
    str,
    Field(pattern=rf"^({SCHEME}[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9]/)?[A-Za-z0-9_][A-Za-z0-9._/=-]*\.(csv|parquet)$"),
    AfterValidator(_check_source),
]


def is_remote(source: str) -> bool:
    """Return whether a source is an object of a store."""
    return source.startswith(SCHEME)


def place(source: str) -> tuple[str, str]:
    """Return bucket and key of a source in a store."""
    bucket, _, key = source.removeprefix(SCHEME).partition("/")
    return bucket, key


def table_key(folder: str, name: str, digest: str, ending: str) -> str:
    """Return the key of a table by its content: nobody changes what stands under it without being noticed."""
    return f"{folder}/{name}/{digest.replace(':', '-')}{ending}"
