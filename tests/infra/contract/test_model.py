"""The model's document: what it allows, and the messages when it does not."""

from pathlib import Path

import pytest

from infra.contract.model import Model, Models
from infra.contract.problems import ConfigError
from infra.values import ROOT
from tests.support.models import MODELS

TEXT = (MODELS / "digits" / "model.yaml").read_text()
TARGET = "target: {name: digit, datatype: INT64, classes: 10}"


@pytest.fixture
def models(tmp_path: Path) -> Models:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "model.yaml").write_text(TEXT)
    (tmp_path / "notes").mkdir()
    return Models(tmp_path)


def test_models_are_found_by_their_documents(models: Models) -> None:
    assert models.names() == ["digits"]
    assert models.load("digits").gates[0].threshold == 0.85


def test_an_unknown_model_names_those_that_exist(models: Models) -> None:
    with pytest.raises(ConfigError, match=r"models/digit/model\.yaml: there is no such file; .* did you mean digits\?"):
        models.load("digit")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: digits", "name: letters", ("models/digits/model.yaml:4: name", 'given:   "letters"')),
        ("kind: Model", "kind: Release", ("model.yaml:3: kind", "allowed: Model")),
        ("task: multiclass", "task: multclass", (":8: task", "did you mean multiclass-classification?")),
        ("framework: pytorch", "framework: torch", (":7: framework", "allowed: pytorch, scikit-learn")),
        ("owner: ml-engineers", 'owner: ""', (":6: owner", "who answers for the model")),
        ("datatype: FP32, shape: [64]", "datatype: float, shape: [64]", ("inputs.pixels.datatype", "such as FP32")),
        ("shape: [64]", "shape: [64, -2]", ("inputs.pixels.shape.1",)),
        ("minimum: 0, maximum: 16", "minimum: 17, maximum: 16", ("a minimum that is not above the maximum",)),
        ("minimum: 0, maximum: 16", "minimum: 0, categories: [1]", ("limits for numbers without categories",)),
        ("minimum: 0, maximum: 16", "categories: [a]", ("categories of the column's type: whole numbers",)),
        ("FP32, shape: [64]", "INT64, missing: true, shape: [64]", ("FP16, FP32, FP64 or BYTES where values may",)),
        ("FP32, shape: [64], minimum: 0, maximum: 16", "BYTES", ("pytorch has no tensors of texts",)),
        ("unit: grey level", 'unit: ""', ("what the values are measured in",)),
        ("  pixels: {", "  digit: {", ("a target that is no input",)),
        ("outputs:\n  scores: {datatype: FP32, shape: [10]}", "outputs: {}", ("outputs by name",)),
        (TARGET, TARGET.replace("classes: 10", "classes: 1"), ("target.classes", "at least 2")),
        (TARGET, TARGET.replace(", classes: 10", ""), ("a target with either classes or categories",)),
        (TARGET, TARGET.replace("}", ", categories: [1, 2]}"), ("a target with either classes or categories",)),
        (TARGET, TARGET.replace("}", ", shape: [2]}"), ("and one value a row",)),
        (
            TARGET,
            TARGET.replace("INT64, classes: 10", "BYTES, missing: true, categories: [a, b]"),
            ("a target without missing values",),
        ),
        ("multiclass-classification", "binary-classification", ("a target with two classes",)),
        ("multiclass-classification", "regression", ("a target without classes, as the task is regression",)),
        ("multiclass-classification\ninputs", "multilabel-classification\ninputs", ("a target without classes",)),
        ("share: 0.2", "share: 1", ("data.heldOut.share", "above 0 and below 1")),
        ("by: row", "by: day", ("data.heldOut.by", "row (each by its content)")),
        ("by: row", "by: group", ("data.heldOut", "a column with `by: group` and `by: time`")),
        ("by: row", "by: row, column: day", ("data.heldOut", "none with `by: row`")),
        ("digest: null", "slices: writer", ("data.slices", "a list of columns")),
        ("digest: null", "source: rows.xlsx", ("data.source", "a table (.csv or .parquet)")),
        ("digest: null", "source: s3://models/", ("data.source", "s3://<bucket>/<key>")),
        ("digest: null", "source: s3://models/data/rows/../../digits.csv", ("data.source", "without '.', '..'")),
        ("digest: null", "source: /rows.csv", ("data.source", "a file of the model's folder")),
        ("digest: null", "source: rows.csv", ("data.source", "rows.csv, and there is no such file")),
        ("digest: null", "digest: abc", ("data.digest", "the data set's digest")),
        ("memory: 2Gi", "memory: 2GB", ("training.resources.memory", '"512Mi" or "12Gi"')),
        ("requirements: []", "requirements: REQ-1", ("requirements", "a list of requirement ids")),
        ("default: 40", "default: 0", ("parameters.epochs", "a default that is a whole number at least 1")),
        ("default: 40", "default: 1.5", ("parameters.epochs", "a default that is a whole number at least 1")),
        ("default: 0.001", "default: 0", ("a default that is a number above 0 and at most 1",)),
        ("type: integer, default: 64", "type: whole, default: 64", ("parameters.hidden.type", "integer or number")),
        ("minimum: 1, description: rows", "min: 1, description: rows", ("the unknown key min",)),
        ("  batch_size:", "  batchSize:", ("parameters", "digits and '_', at most 40; not batchSize")),
        ('operator: "<="', 'operator: "=<"', ("gates.2.operator", "one of >=, <=, >, <")),
        ("threshold: 0.85", 'threshold: "0.85"', ("gates.0.threshold", "a number")),
    ],
)
def test_what_is_not_allowed_is_named(old: str, new: str, expected: tuple[str, ...], models: Models) -> None:
    assert old in TEXT
    (models.folder / "digits" / "model.yaml").write_text(TEXT.replace(old, new))
    with pytest.raises(ConfigError) as raised:
        models.load("digits")
    message = str(raised.value)
    assert not [text for text in expected if text not in message], message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (TARGET, "target: {name: digit, datatype: BYTES, categories: [one, two]}"),
        ("maximum: 16, unit: grey level", "missing: true"),
        ("shape: [64]", "shape: [-1, 64]"),
        ("by: row", "by: group, column: writer"),
        ("by: row", "by: time, column: day"),
        ("digest: null", "slices: [writer]"),
        ("digest: null", f"digest: sha256:{'0' * 64}"),
        ("digest: null", "source: s3://models/data/digits/rows.parquet"),
        ("digest: null", "source: s3://lake/rows.csv"),
        ("digest: null", "source: tables/rows.csv"),
        ("data:\n  heldOut: {share: 0.2, by: row}\n  digest: null\n", ""),
        ("requirements: []", "requirements: [REQ-1]"),
        ("multiclass-classification", "binary-classification # two"),
    ],
)
def test_what_is_allowed_is_read(old: str, new: str, models: Models) -> None:
    assert old in TEXT
    text = TEXT.replace(old, new)
    (models.folder / "digits" / "tables").mkdir()
    (models.folder / "digits" / "tables" / "rows.csv").touch()
    if "# two" in new:
        text = text.replace("classes: 10", "classes: 2")
    (models.folder / "digits" / "model.yaml").write_text(text)
    assert models.load("digits").name == "digits"


@pytest.mark.parametrize(
    ("task", "target"),
    [
        ("multilabel-classification", "{name: tags, datatype: BOOL, shape: [10]}"),
        ("regression", "{name: price, datatype: FP64, minimum: 0}"),
        ("forecasting", "{name: demand, datatype: FP32, shape: [24]}"),
        ("ranking", "{name: relevance, datatype: INT64}"),
        ("other", "{name: text, datatype: BYTES}"),
    ],
)
def test_every_task_has_its_target(task: str, target: str, models: Models) -> None:
    text = TEXT.replace("multiclass-classification", task).replace(TARGET, f"target: {target}")
    (models.folder / "digits" / "model.yaml").write_text(text)
    assert models.load("digits").task == task


def test_a_document_of_version_1_is_one_message(models: Models) -> None:
    (models.folder / "digits" / "model.yaml").write_text(
        "apiVersion: stellwerk.dev/v1\nkind: Model\nname: digits\ndescription: digits\ntask: classification\n"
    )
    with pytest.raises(ConfigError) as raised:
        models.load("digits")
    message = str(raised.value)
    assert message.startswith("models/digits/model.yaml: it has apiVersion stellwerk.dev/v1, this version reads ")
    assert "docs/upgrades.md" in message and "\n" not in message


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("epochs", "3", 3),
        ("seed", "-1", -1),
        ("learning_rate", "1e-3", 0.001),
        ("learning_rate", "1", 1.0),
        ("epochs", "0", None),
        ("epochs", "3.0", None),
        ("learning_rate", "0", None),
        ("learning_rate", "nan", None),
        ("learning_rate", "inf", None),
        ("learning_rate", "", None),
    ],
)
def test_a_parameter_is_read_from_text(name: str, text: str, value: float | None, models: Models) -> None:
    parameter = models.load("digits").parameters[name]
    if value is None:
        with pytest.raises(ValueError, match=parameter.allowed):
            parameter.read(text)
    else:
        assert parameter.read(text) == value
        assert type(parameter.read(text)) is type(value)


SESSION = "session: {inputs: {tokens: {datatype: INT64, shape: [40]}}}\n" + TARGET
TEXTS = (("FP32, shape: [64], minimum: 0, maximum: 16, unit: grey level", "BYTES"), (TARGET, SESSION))


def test_a_session_is_of_numbers_where_requests_are_texts(models: Models) -> None:
    text = TEXT
    for old, new in TEXTS:
        text = text.replace(old, new)
    folder = models.folder / "digits"
    (folder / "model.yaml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        models.load("digits")
    message = str(raised.value)
    assert "model.yaml:13: session\n" in message
    assert "a session, and no models/digits/serve.py" in message
    (folder / "serve.py").write_text("def decode(inputs, folder): ...\n")
    tokens = models.load("digits").session.inputs
    assert tokens and tokens["tokens"].shape == (40,)
    (folder / "model.yaml").write_text(text.replace("INT64, shape: [40]", "BYTES"))
    with pytest.raises(ConfigError, match=r"pytorch has no tensors of texts .*serve\.py makes numbers of texts"):
        models.load("digits")


@pytest.mark.parametrize("given", ["{inputs: {}}", "{input: {}}", "{inputs: {tokens: {datatype: text}}}"])
def test_a_session_that_is_none_is_named(given: str, models: Models) -> None:
    (models.folder / "digits" / "serve.py").write_text("def decode(inputs, folder): ...\n")
    (models.folder / "digits" / "model.yaml").write_text(TEXT.replace(TARGET, f"session: {given}\n{TARGET}"))
    with pytest.raises(ConfigError, match=r"model\.yaml:13: session\.input"):
        models.load("digits")


def test_every_model_of_this_checkout_is_valid() -> None:
    """There may be none."""
    models = Models(ROOT / "models")
    assert [name for name in models.names() if not isinstance(models.load(name), Model)] == []
