"""The file of a data set: in the model's folder or in the bucket, and never another one than was pinned."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.training.conftest import BUCKET, MODEL
from training.author import read_author
from training.data import load
from training.document import Column
from training.errors import TrainingError
from training.publish import digest_of
from training.source import Bucket, opened

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

CONTENT = b"size,label\n" + b"".join(b"%d,%d\n" % (row, row % 2) for row in range(200))
DIGEST = digest_of(CONTENT)
KEY = f"data/sizes/{DIGEST.replace(':', '-')}.csv"
SIZES = replace(MODEL, inputs=(Column("size", "FP32"),))
REMOTE = replace(SIZES, source=f"s3://{BUCKET}/{KEY}", digest=DIGEST)
LOCAL = replace(SIZES, source="sizes.csv", digest=DIGEST)
FIT = "def fit(*given):\n    return 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(FIT)
    (tmp_path / "sizes.csv").write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def bucket(store: "S3Client") -> Bucket:
    store.put_object(Bucket=BUCKET, Key=KEY, Body=CONTENT)
    return Bucket(store, BUCKET, "data/")


def test_a_file_of_the_store_is_the_data(folder: Path, bucket: Bucket) -> None:
    made = load(REMOTE, read_author(folder), [bucket])
    assert (made.digest, made.source) == (DIGEST, REMOTE.source)
    assert len(made.train) + len(made.held_out) == 200
    with opened(REMOTE, folder, [bucket]) as file:
        fetched = file.path
        assert fetched.read_bytes() == CONTENT
    assert not fetched.exists()


def test_a_file_of_the_folder_is_the_data(folder: Path) -> None:
    made = load(LOCAL, read_author(folder))
    assert (made.digest, made.source) == (DIGEST, "sizes.csv")
    assert load(replace(LOCAL, digest=None), read_author(folder)).digest == DIGEST


def test_the_authors_load_is_given_the_file(folder: Path) -> None:
    (folder / "train.py").write_text(
        "import numpy as np\n\n\ndef load(file):\n    size, label = np.loadtxt(file, delimiter=',', skiprows=1).T\n"
        f"    return {{'size': size * 2, 'label': label.astype(int)}}\n\n\n{FIT}"
    )
    made = load(LOCAL, read_author(folder))
    assert made.digest == DIGEST
    assert max(made.train.inputs["size"].max(), made.held_out.inputs["size"].max()) == 398


@pytest.mark.parametrize("remote", [False, True])
def test_another_file_is_refused_before_it_is_read(remote: bool, folder: Path, bucket: Bucket) -> None:
    (folder / "sizes.csv").write_bytes(b"no table")
    bucket.client.put_object(Bucket=BUCKET, Key=KEY, Body=b"no table")
    with pytest.raises(TrainingError, match=rf"its digest is sha256:\w+, the model's document pins {DIGEST}"):
        load(REMOTE if remote else LOCAL, read_author(folder), [bucket])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("other.csv", "data of small: other.csv: No such file or directory; put the file there"),
        (f"s3://{BUCKET}/data/absent.csv", "it cannot be read: .*NoSuchKey.*; `stellwerk data push` brings it there"),
        (f"s3://other/{KEY}", f"not in a store that this environment reads data from; allowed: s3://{BUCKET}/data/…"),
        (f"s3://{BUCKET}/testsets/small/rows.csv", f"allowed: s3://{BUCKET}/data/…"),
    ],
)
def test_a_file_that_may_not_be_read_is_named(source: str, expected: str, folder: Path, bucket: Bucket) -> None:
    with pytest.raises(TrainingError, match=expected):
        load(replace(SIZES, source=source), read_author(folder), [bucket])


def test_without_a_store_nothing_is_fetched(folder: Path) -> None:
    with pytest.raises(TrainingError, match="no object store is at hand here"):
        load(REMOTE, read_author(folder))


def test_data_comes_from_a_file_or_from_the_author(folder: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"train\.py has no function load, and the model's document no data\.source"
    ):
        load(SIZES, read_author(folder))
