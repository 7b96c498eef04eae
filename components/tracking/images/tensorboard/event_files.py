"""Keeps a folder equal to the event files of runs in the object store, the newest where all are too many.

Environment: EVENTS_BUCKET, EVENTS_PREFIX (ends with /), EVENTS_FOLDER, EVENTS_BYTES (of all files together) and
EVENTS_SECONDS (between two looks). What TensorBoard itself reads from S3 it asks for anew in every look.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# How TensorBoard knows its files.
MARK = "tfevents"


@dataclass(frozen=True)
class EventFile:
    """An object of the store: its key, what its content is known by, its size in bytes, and when it was written."""

    key: str
    tag: str
    size: int
    written: datetime


def stored(client: Any, bucket: str, prefix: str) -> Iterator[EventFile]:
    """The event files below the prefix."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            if MARK in item["Key"].rpartition("/")[2]:
                yield EventFile(item["Key"], item["ETag"], item["Size"], item["LastModified"])


def chosen(files: list[EventFile], room: int) -> list[EventFile]:
    """The newest files that have room together."""
    kept = []
    for file in sorted(files, key=lambda each: (each.written, each.key), reverse=True):
        room -= file.size
        if room < 0:
            break
        kept.append(file)
    return kept


def place(folder: Path, prefix: str, key: str) -> Path | None:
    """Where a file belongs: `<experiment>/<run>/…`; None for a key that leads out of the folder."""
    parts = [part for part in key.removeprefix(prefix).split("/") if part != "artifacts"]
    if any(part in ("", ".", "..") for part in parts):
        return None
    return folder.joinpath(*parts)


class Copy:
    """A folder, and what its files were made of."""

    def __init__(self, client: Any, bucket: str, prefix: str, folder: Path, room: int) -> None:
        """Begin with what there is: an earlier process's files are taken for unknown, and fetched again."""
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self._folder, self._room = folder, room
        self._tags: dict[Path, str] = {}

    def look(self) -> tuple[int, int]:
        """Take over what is new, changed or gone; how many files were fetched, and how many removed."""
        wanted = {}
        for file in chosen(list(stored(self._client, self._bucket, self._prefix)), self._room):
            target = place(self._folder, self._prefix, file.key)
            if target is not None:
                wanted[target] = file
        present = {path for path in self._folder.rglob("*") if path.is_file()}
        gone = present - wanted.keys()
        for path in gone:
            path.unlink()
            self._tags.pop(path, None)
        new = {path: file for path, file in wanted.items() if self._tags.get(path) != file.tag}
        for path, file in new.items():
            self._fetch(path, file)
        return len(new), len(gone)

    def _fetch(self, path: Path, file: EventFile) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In place: TensorBoard goes on reading where it was, and a file that only grew is not another one.
        body = self._client.get_object(Bucket=self._bucket, Key=file.key)["Body"]
        with path.open("r+b" if path.exists() else "wb") as target:
            for part in body.iter_chunks(1 << 20):
                target.write(part)
            target.truncate()
        self._tags[path] = file.tag


def main() -> None:
    """Look again and again; a look that fails is reported, and the next one may succeed."""
    import boto3

    environment, last = os.environ, ""
    folder = Path(environment["EVENTS_FOLDER"])
    copy = Copy(
        boto3.client("s3"),
        environment["EVENTS_BUCKET"],
        environment["EVENTS_PREFIX"],
        folder,
        int(environment["EVENTS_BYTES"]),
    )
    while True:
        try:
            fetched, removed = copy.look()
            said = f"{fetched} files fetched, {removed} removed" if fetched or removed else ""
        except Exception as error:
            said = f"the object store was not read: {error}"
        if said and said != last:
            print(f"{datetime.now(UTC).isoformat()} {said}", file=sys.stderr)
        last = said
        time.sleep(float(environment["EVENTS_SECONDS"]))


if __name__ == "__main__":
    main()
