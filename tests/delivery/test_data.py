"""`stellwerk data push`, and what a model's document names of it: by a real store, and by the digest alone."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from delivery.errors import DeliveryError
from delivery.operations.data import require
from infra.contract.model import Model
from tests.support.checkout import MODEL, Checkout
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Command
from tests.support.stores import ObjectStores, S3Server

TABLE = b"size,sort\n" + b"".join(b"%d,%d\n" % (row, row % 7 // 4) for row in range(600))
DIGEST = f"sha256:{sha256(TABLE).hexdigest()}"
KEY = f"data/sizes/{DIGEST.replace(':', '-')}.csv"
TRAIN = """
import numpy as np

from tests.support.linear import Layer


def fit(rows, parameters, run):
    return Layer(np.zeros((1, 2), np.float32), np.array([1, 0], np.float32))
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "sizes.csv").write_bytes(TABLE)
    return str(tmp_path / "sizes.csv")


def test_a_table_is_kept_under_its_digest(table: str, stellwerk: Command, stores: ObjectStores) -> None:
    code, out, err = stellwerk("data", "push", "sizes", table, "--env", "dev")
    assert code == 0, err
    assert stores.get("dev", KEY) == TABLE
    assert f"{len(TABLE)} bytes brought to dev" in err
    source = f"s3://{stores.buckets['dev']}/{KEY}"
    assert YAML(typ="safe").load(out) == {"data": {"source": source, "digest": DIGEST}}
    _, out, _ = stellwerk("data", "push", "sizes", table, "--env", "dev", "--json")
    assert json.loads(out) == {"source": source, "digest": DIGEST, "moved": 0}


@pytest.mark.parametrize(
    ("file", "content", "name", "expected"),
    [
        ("rows.xlsx", b"", "sizes", "rows.xlsx: not one of .csv, .parquet; convert it"),
        ("rows.parquet", b"PAR1 rows PAR1", "sizes", None),
        ("rows.parquet", b"PAR1 and then nothing", "sizes", "rows.parquet: not a Parquet file"),
        ("rows.parquet", b"", "sizes", "reading the table failed"),
        ("rows.csv", b"", "sizes", "rows.csv:1: the first line names the columns"),
        ("rows.csv", b"a,a\n1,2\n", "sizes", "rows.csv:1: the first line names the columns, each by a name of its own"),
        ("rows.csv", b"a,b\n", "sizes", "rows.csv: it has no rows"),
        ("rows.csv", b"a,b\n\xff,1\n", "sizes", "rows.csv: not UTF-8 at byte 4"),
        ("rows.csv", TABLE, "Sizes", 'data set name "Sizes": not allowed; allowed: lower-case letters'),
    ],
)
def test_what_is_no_table_is_not_pushed(
    file: str, content: bytes, name: str, expected: str | None, stellwerk: Command, stores: ObjectStores, tmp_path: Path
) -> None:
    (tmp_path / file).write_bytes(content)
    code, _, err = stellwerk("data", "push", name, str(tmp_path / file), "--env", "dev")
    if expected is None:
        assert (code, len(stores.keys("dev"))) == (0, 1), err
        return
    assert code == 1
    assert expected in err
    assert stores.keys("dev") == []


@pytest.fixture
def sizes(project: Checkout, stores: ObjectStores) -> Path:
    """A model whose data is the table in dev's store; its document."""
    folder = project.root / "models" / "sizes"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    (folder / "model.yaml").write_text(
        "apiVersion: stellwerk.dev/v2\nkind: Model\nname: sizes\ndescription: which sort\nowner: sales\n"
        "framework: pytorch\ntask: multiclass-classification\ninputs:\n  size: {datatype: FP32, shape: [1]}\n"
        "outputs:\n  scores: {datatype: FP32, shape: [2]}\ntarget: {name: sort, datatype: INT64, classes: 2}\n"
        f'data: {{source: "s3://{stores.buckets["dev"]}/{KEY}", digest: "{DIGEST}"}}\n'
        "gates:\n  - {metric: accuracy, operator: '>=', threshold: 0.5}\n"
        "training:\n  resources: {cpu: 100m, memory: 256Mi}\n"
    )
    project.edit("dev", lambda config: config["training"].update(sizes={}))
    stores.put("dev", KEY, TABLE)
    return folder / "model.yaml"


@pytest.mark.usefixtures("sizes")
def test_a_check_fetches_the_data(stellwerk: Command) -> None:
    code, out, err = stellwerk("model", "check", "sizes", "--json")
    checks = {check["check"]: check for check in json.loads(out)["checks"]}
    assert code == 0, (checks, err)
    assert f"held out, {DIGEST}" in checks["data"]["value"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("data/sizes", "data/other", r"there is no dev-\d+/data/other/.*; `stellwerk data push` brings a table there"),
        ("data/sizes", "testsets/sizes", r"a Job in dev reads s3://dev-\d+/data/… alone"),
        ("s3://dev", "s3://elsewhere", r"a Job in dev reads s3://dev-\d+/data/… alone; push the table there, or name"),
        (DIGEST[:20], DIGEST[:18] + "00", "restore the file, or pin the new digest"),
    ],
)
def test_data_that_is_not_there_fails_the_check(
    old: str, new: str, expected: str, sizes: Path, stellwerk: Command
) -> None:
    head, _, rest = sizes.read_text().rpartition(old)
    sizes.write_text(f"{head}{new}{rest}")
    code, out, _ = stellwerk("model", "check", "sizes", "--json")
    *_, failed = json.loads(out)["checks"]
    assert (code, failed["check"]) == (1, "data")
    assert re.search(expected, failed["value"])


def test_a_check_fetches_from_another_store(
    project: Checkout, sizes: Path, pulumi: FakeEngine, s3: S3Server, stellwerk: Command, stores: ObjectStores
) -> None:
    lake = f"lake-of-{stores.buckets['dev']}"
    stores.client.create_bucket(Bucket=lake)
    stores.client.put_object(Bucket=lake, Key="sizes.csv", Body=TABLE)
    sizes.write_text(re.sub(r's3://[^"]+', f"s3://{lake}/sizes.csv", sizes.read_text()))
    section = {"bucket": lake, "endpoint": f"https://127.0.0.1:{s3.port}"}
    project.edit("dev", lambda config: config.update(dataStore=section))
    code, out, _ = stellwerk("model", "check", "sizes", "--json")
    assert code == 1
    assert "stellwerk:credentials has no keys of stellwerk:dataStore; run `stellwerk init dev`" in out
    keys = json.loads(pulumi.secrets["dev"])
    pulumi.secrets["dev"] = json.dumps(keys | {"dataStore": {"accessKey": "lake", "secretKey": "secret"}})
    code, out, err = stellwerk("model", "check", "sizes", "--json")
    assert code == 0, (out, err)


def test_training_starts_with_data_that_is_there(sizes: Path, bench: Bench, stores: ObjectStores) -> None:
    work = bench.session()
    document = work.project.models.load("sizes")
    require(work, "dev", document)
    stores.client.delete_object(Bucket=stores.buckets["dev"], Key=KEY)
    with pytest.raises(
        DeliveryError, match=r"models/sizes/model\.yaml: data\.source: .* has no dev-\d+/data/sizes/.*; bring"
    ):
        require(work, "dev", document)
    own = Model.model_validate({**document.model_dump(by_alias=True), "data": {}}, strict=False)
    require(work, "dev", own)


def test_a_test_set_becomes_a_document(
    project: Checkout, sizes: Path, table: str, stellwerk: Command, stores: ObjectStores
) -> None:
    for environment in ("test", "prod"):
        project.edit(environment, lambda config: config["models"].update(sizes={"release": None}))
    code, out, err = stellwerk("data", "push", "sizes", table, "--test-set", "--env", "test")
    assert code == 0, err
    version = f"v1-{DIGEST[7:15]}"
    assert out.strip() == f"stacks/testsets/sizes/{version}.yaml"
    assert f"in the stack file of test: stellwerk:models.sizes.testSet: {version}" in err
    test_set = project.project().test_sets.load("sizes", version)
    assert test_set.rows.key == f"testsets/sizes/{DIGEST.replace(':', '-')}.csv"
    assert stores.get("test", test_set.rows.key) == TABLE
    code, again, _ = stellwerk("data", "push", "sizes", table, "--test-set", "--env", "prod", "--json")
    assert (code, json.loads(again)["testSet"]) == (0, version), "another store gets the same test set"
    assert stores.get("prod", test_set.rows.key) == TABLE


@pytest.mark.parametrize(
    ("model", "content", "expected"),
    [
        ("sizes", b"size,kind\n1,1\n", "there is no column sort; its columns are size, kind"),
        (MODEL, TABLE, "there is no column pixels, digit"),
        ("size", TABLE, "there is no model 'size'; models there: digits, sizes"),
    ],
)
def test_a_table_without_the_models_columns_is_no_test_set(
    model: str, content: bytes, expected: str, project: Checkout, sizes: Path, stellwerk: Command,
    stores: ObjectStores, tmp_path: Path,
) -> None:  # fmt: skip
    project.edit("test", lambda config: config["models"].update(sizes={"release": None}))
    (tmp_path / "rows.csv").write_bytes(content)
    code, _, err = stellwerk("data", "push", model, str(tmp_path / "rows.csv"), "--test-set", "--env", "test")
    assert code == 1
    assert expected in err
    assert stores.keys("test") == []
    assert not (project.root / "stacks" / "testsets").exists()
