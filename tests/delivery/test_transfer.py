"""Large files between a folder and two stores: whole or not at all, and with little memory."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from delivery.clients import transfer
from delivery.errors import DeliveryError
from infra.contract.artefact import StoredObject
from infra.values import ROOT
from tests.support.session import Bench
from tests.support.stores import ObjectStores, S3Server

MIB = 1 << 20
# Reads a file into a bucket and copies it into another one; prints by how many MiB that has made the process grow.
MOVER = """
import hashlib, json, sys
from pathlib import Path
import boto3
from delivery.clients import transfer
from delivery.clients.store import Store
from infra.contract.artefact import StoredObject

given = json.loads(sys.argv[1])
client = boto3.client("s3", endpoint_url=given["url"], verify=given["ca"], region_name="us-east-1",
                      aws_access_key_id="access", aws_secret_access_key="secret")
source, target = (Store(client, bucket, bucket) for bucket in given["buckets"])
client.list_objects_v2(Bucket=source.bucket)
# Of this program alone: getrusage counts what the process was before it started this program.
peak = lambda: int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
before = peak()
item = StoredObject(**given["object"])
moved = [transfer.upload(Path(given["file"]), source, item), transfer.copy(source, target, item)]
print(json.dumps({"moved": moved, "grown": peak() - before}))
"""


def sparse(path: Path, size: int) -> StoredObject:
    """A file of zeros but for its end, which takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size - 3)
        file.seek(size - 3)
        file.write(b"end")
    with path.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return StoredObject(digest=digest, size=size, key=f"heavy/{digest.replace(':', '-')}.bin")


@pytest.mark.timeout(1200)
def test_300_mb_are_moved_in_less_than_64_mib(stores: ObjectStores, s3: S3Server, tmp_path: Path) -> None:
    item = sparse(tmp_path / "weights.bin", 300_000_000)
    (tmp_path / "ca.crt").write_text(s3.ca)
    given = {
        "url": f"https://127.0.0.1:{s3.port}",
        "ca": str(tmp_path / "ca.crt"),
        "buckets": [stores.buckets["dev"], stores.buckets["test"]],
        "file": str(tmp_path / "weights.bin"),
        "object": item.model_dump(),
    }
    command = [sys.executable, "-c", MOVER, json.dumps(given)]
    said = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert said["moved"] == [300_000_000] * 2
    assert 0 < said["grown"] < 64
    for environment in ("dev", "test"):
        head = stores.client.head_object(Bucket=stores.buckets[environment], Key=item.key)
        assert head["ContentLength"] == 300_000_000


def test_a_file_that_changes_while_it_is_read_is_not_published(
    bench: Bench, stores: ObjectStores, tmp_path: Path
) -> None:
    item = sparse(tmp_path / "weights.bin", 20 * MIB)
    with (tmp_path / "weights.bin").open("r+b") as file:
        file.write(b"x")
    with bench.session().store("dev") as target, pytest.raises(DeliveryError, match="changed while it was read"):
        transfer.upload(tmp_path / "weights.bin", target, item)
    assert stores.keys("dev") == []
    assert "Uploads" not in stores.client.list_multipart_uploads(Bucket=stores.buckets["dev"])


def test_what_a_killed_upload_has_left_is_removed_by_the_next(
    bench: Bench, stores: ObjectStores, tmp_path: Path
) -> None:
    item, bucket = sparse(tmp_path / "weights.bin", 20 * MIB), stores.buckets["dev"]
    left = stores.client.create_multipart_upload(Bucket=bucket, Key=item.key)["UploadId"]
    stores.client.upload_part(Bucket=bucket, Key=item.key, UploadId=left, PartNumber=1, Body=b"0" * (8 * MIB))
    with bench.session().store("dev") as target:
        assert transfer.upload(tmp_path / "weights.bin", target, item) == item.size
        assert transfer.upload(tmp_path / "weights.bin", target, item) == 0
    assert stores.keys("dev") == [item.key]
    assert "Uploads" not in stores.client.list_multipart_uploads(Bucket=bucket)
    assert hashlib.sha256(stores.get("dev", item.key)).hexdigest() == item.digest.removeprefix("sha256:")
