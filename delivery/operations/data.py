"""`stellwerk data push`: tables to train on and curated test sets, brought into a store under their digest."""

import csv
import hashlib
import os
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from delivery.clients import store, transfer
from delivery.errors import DeliveryError, system_errors
from delivery.operations.writing import identity_after, write_once
from delivery.session import Session
from infra.contract import data, testset
from infra.contract.artefact import StoredObject
from infra.contract.fields import NAME, NAME_RULE
from infra.contract.model import Model
from infra.contract.problems import show
from infra.contract.testset import TestSet
from infra.services import data_store, object_store

_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Pushed:
    """A table in a store: what `data.source` and `data.digest` of a model's document say, and the bytes that moved."""

    source: str
    digest: str
    moved: int


def push(session: Session, environment: str, name: str, file: Path) -> Pushed:
    """Bring a table into the environment's store, unless it is there; raise DeliveryError for what is no table."""
    session.project.environment(environment)
    if not re.fullmatch(NAME, name):
        raise DeliveryError(f"data set name {show(name)}: not allowed; allowed: {NAME_RULE}; choose another name")
    _require_table(file, data.ENDINGS)
    digest, size = _hashed(file)
    item = StoredObject(digest=digest, size=size, key=data.table_key(data.FOLDER, name, digest, file.suffix))
    with session.store(environment) as target:
        return Pushed(f"{data.SCHEME}{target.bucket}/{item.key}", digest, transfer.upload(file, target, item))


def push_test_set(session: Session, environment: str, model: str, file: Path) -> str:
    """Bring a test set of a model into the environment's store, and write its document; return its version.

    A file that is a test set already keeps its version: another environment's store gets it.
    """
    session.project.model(environment, model)
    _require_table(file, testset.ENDINGS)
    models = session.project.models
    if file.suffix == ".csv" and model in models.names():
        document = models.load(model)
        _require_columns(file, (*document.inputs, document.target.name))
    digest, size = _hashed(file)
    item = StoredObject(digest=digest, size=size, key=testset.key(model, digest, file.suffix))
    with session.store(environment) as target:
        transfer.upload(file, target, item)
    sets = session.project.test_sets
    known = sets.versions(model)
    for version in known:
        if sets.load(model, version).rows == item:
            return version
    version = identity_after(known, digest)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"model": model, "version": version, "created": created}
    head = {"apiVersion": "stellwerk.dev/v1", "kind": "TestSet"}
    made = TestSet.model_validate(head | {"metadata": metadata, "rows": item})
    name = f"{sets.name}/{model}/{version}.yaml"
    write_once(made, sets.file(model, version), name, "test set", "stellwerk data push --test-set")
    return version


def require(session: Session, environment: str, model: Model) -> None:
    """Raise DeliveryError when a Job of the environment would not find the data that the model's document names."""
    source = model.data.source
    if source is None or not data.is_remote(source):
        return
    with _opened(session, environment, model) as origin:
        _, key = data.place(source)
        if key not in store.keys(origin, key):
            raise DeliveryError(
                f"{session.project.models.file(model.name)}: data.source: {origin.name} has no {origin.bucket}/{key}; "
                f"bring it there: `stellwerk data push NAME FILE --env {environment}`"
            )


def _opened(session: Session, environment: str, model: Model) -> AbstractContextManager[store.Store]:
    """Return the store that a Job reads the model's data from; raise DeliveryError when it reads no such bucket."""
    source, values = str(model.data.source), session.project.environment(environment)
    (bucket, key), own, other = data.place(source), object_store.bucket(values), data_store.bucket(values)
    if bucket == own and key.startswith(f"{data.FOLDER}/"):
        return session.store(environment)
    if bucket == other:
        return session.data_store(environment)
    allowed = [f"{data.SCHEME}{own}/{data.FOLDER}/…", *([f"{data.SCHEME}{other}/…"] if other else [])]
    raise DeliveryError(
        f"{session.project.models.file(model.name)}: data.source is {source}; a Job in {environment} reads "
        f"{' and '.join(allowed)} alone; push the table there, or name its store in stellwerk:dataStore"
    )


def fetch(session: Session, model: Model, folder: Path) -> str:
    """Write the data that the model's document names into a folder, from where it is trained; return the file's name.

    Raise DeliveryError when it is not there, or is not the one whose digest the document pins.
    """
    source = str(model.data.source)
    environment = session.project.trainer(model.name)
    _, key = data.place(source)
    name = f"source{Path(key).suffix}"
    with (
        _opened(session, environment, model) as origin,
        system_errors("fetching the data", "free some space in the temporary folder, or let TMPDIR name another"),
        (folder / name).open("wb") as file,
    ):
        digest = store.download(origin, key, file)
    if model.data.digest not in (None, digest):
        raise DeliveryError(
            f"{session.project.models.file(model.name)}: data.digest is {model.data.digest}, {source} has {digest}; "
            "restore the file, or pin the new digest when it is meant to be trained on"
        )
    return name


def _hashed(file: Path) -> tuple[str, int]:
    with (
        system_errors("reading the table", "name a file that exists and that you may read"),
        file.open("rb") as content,
    ):
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return f"sha256:{digest}", content.tell()


def _require_table(file: Path, endings: tuple[str, ...]) -> None:
    """Raise DeliveryError unless a file is what its ending says, as far as its beginning and end show it."""
    if file.suffix not in endings:
        raise DeliveryError(f"{file}: not one of {', '.join(endings)}; convert it, and push the result")
    with system_errors("reading the table", "name a file that exists and that you may read"):
        if file.suffix == ".csv":
            _header(file)
        elif file.suffix == ".parquet":
            with file.open("rb") as content:
                start = content.read(len(_PARQUET))
                content.seek(-len(_PARQUET), os.SEEK_END)
                end = content.read()
            if (start, end) != (_PARQUET, _PARQUET):
                raise DeliveryError(f"{file}: not a Parquet file; write it again")


def _header(file: Path) -> list[str]:
    """Return the names of a table's columns; raise DeliveryError when it has none, or no rows."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(text, strict=True)
            header, first = next(rows, []), next(rows, None)
    except UnicodeDecodeError as error:
        raise DeliveryError(f"{file}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except csv.Error as error:
        raise DeliveryError(f"{file}: not a table of comma-separated values: {error}") from None
    if not header or "" in header or len(set(header)) < len(header):
        raise DeliveryError(f"{file}:1: the first line names the columns, each by a name of its own; it has {header}")
    if first is None:
        raise DeliveryError(f"{file}: it has no rows")
    return header


def _require_columns(file: Path, wanted: Iterable[str]) -> None:
    header = _header(file)
    lacking = [name for name in wanted if name not in header]
    if lacking:
        raise DeliveryError(f"{file}: there is no column {', '.join(lacking)}; its columns are {', '.join(header)}")
