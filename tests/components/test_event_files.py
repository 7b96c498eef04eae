"""What fetches the event files of runs for TensorBoard, against an S3 store."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

SOURCE = Path(__file__).parents[2] / "components/tracking/images/tensorboard/event_files.py"
BUCKET, PREFIX = "models", "mlflow/"
EVENTS = f"{PREFIX}1/run/artifacts/logs/events.out.tfevents.1.host"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("event_files", SOURCE)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


def put(store: Any, key: str, content: bytes) -> None:
    store.put_object(Bucket=BUCKET, Key=key, Body=content)


def test_files_of_runs_come_grow_and_go(module: ModuleType, store: Any, tmp_path: Path) -> None:
    copy = module.Copy(store, BUCKET, PREFIX, tmp_path, 1 << 20)
    put(store, EVENTS, b"one")
    put(store, f"{PREFIX}1/run/artifacts/model.onnx", b"no event file")
    put(store, f"digits/{EVENTS}", b"not of the tracking server")
    file = tmp_path / "1/run/logs/events.out.tfevents.1.host"
    assert copy.look() == (1, 0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
    inode = file.stat().st_ino
    assert copy.look() == (0, 0), "what has not changed is not fetched again"
    put(store, EVENTS, b"one and two")
    assert copy.look() == (1, 0)
    assert file.read_bytes() == b"one and two"
    assert file.stat().st_ino == inode, "a reader goes on where it was"
    store.delete_object(Bucket=BUCKET, Key=EVENTS)
    assert copy.look() == (0, 1)
    assert not file.exists()


def test_a_new_process_trusts_nothing_that_it_has_not_fetched(module: ModuleType, store: Any, tmp_path: Path) -> None:
    put(store, EVENTS, b"short")
    module.Copy(store, BUCKET, PREFIX, tmp_path, 1 << 20).look()
    file = tmp_path / "1/run/logs/events.out.tfevents.1.host"
    file.write_bytes(b"what another process has left half written")
    assert module.Copy(store, BUCKET, PREFIX, tmp_path, 1 << 20).look() == (1, 0)
    assert file.read_bytes() == b"short"


def test_where_all_are_too_many_the_newest_are_kept(module: ModuleType) -> None:
    from datetime import UTC, datetime

    files = [module.EventFile(f"k{day}", "t", 40, datetime(2026, 1, day, tzinfo=UTC)) for day in (2, 1, 3)]
    assert [file.key for file in module.chosen(files, 100)] == ["k3", "k2"]


@pytest.mark.parametrize("key", ["../out.tfevents", "1/../../out.tfevents", "1//x.tfevents", "/etc/tfevents"])
def test_no_key_leads_out_of_the_folder(module: ModuleType, key: str, tmp_path: Path) -> None:
    assert module.place(tmp_path, PREFIX, f"{PREFIX}{key}") is None
