"""The model's document: what it allows, and the messages when it does not."""

from pathlib import Path

import pytest

from infra.contract.model import Model, Models
from infra.contract.problems import ConfigError
from infra.values import ROOT

TEXT = (ROOT / "models" / "digits" / "model.yaml").read_text()


@pytest.fixture
def models(tmp_path: Path) -> Models:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "model.yaml").write_text(TEXT)
    (tmp_path / "notes").mkdir()
    return Models(tmp_path)


def test_models_are_found_by_their_documents(models: Models) -> None:
    assert models.names() == ["digits"]
    assert models.load("digits").gates[0].threshold == 0.85
    assert list(models.documents()) == ["digits"]


def test_an_unknown_model_names_those_that_exist(models: Models) -> None:
    with pytest.raises(ConfigError, match=r"models/digit/model\.yaml: there is no such file; .* did you mean digits\?"):
        models.load("digit")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: digits", "name: letters", ("models/digits/model.yaml:4: name", 'given:   "letters"')),
        ("kind: Model", "kind: Release", ("model.yaml:3: kind", "allowed: Model")),
        ("task: classification", "task: clasification", (":6: task", "did you mean classification?")),
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


def test_every_model_of_this_checkout_is_valid() -> None:
    models = Models(ROOT / "models")
    assert all(isinstance(models.load(name), Model) for name in models.names())
    assert models.names()
