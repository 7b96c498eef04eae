"""What environments share is merged with what differs; an error names the file in which the value stands."""

import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from infra.contract.problems import ConfigError
from infra.contract.schema import environment_schema
from infra.contract.stacks import BASE, StackFiles, file_name, overlay
from infra.discovery import known
from infra.values import from_file
from tests.support.documents import ENVIRONMENTS, TEAM, whole_values, write_stacks, yaml
from tests.support.models import copy_models


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with the stack files and the base."""
    (tmp_path / "stacks").mkdir()
    for name in (BASE, *map(file_name, ENVIRONMENTS)):
        shutil.copy(TEAM / name, tmp_path / name)
    copy_models(tmp_path)
    return tmp_path


def change(file: Path, *path: str, value: Any) -> None:
    """Set a value of a file, by its path below `config:` without namespace."""
    document = yaml().load(file)
    node = document["config"]
    first, *rest = path
    for step in (f"stellwerk:{first}", *rest)[:-1]:
        node = node.setdefault(step, {})
    node[rest[-1] if rest else f"stellwerk:{first}"] = value
    yaml().dump(document, file)


def refusal(root: Path, environment: str) -> str:
    with pytest.raises(ConfigError) as raised:
        from_file(environment, root)
    return str(raised.value)


@pytest.mark.parametrize(
    ("base", "own", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ],
)
def test_mappings_are_merged_and_anything_else_is_replaced(base: Any, own: Any, merged: Any) -> None:
    assert overlay(base, own) == merged


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_stack_file_that_says_everything_needs_no_base(environment: str, root: Path, tmp_path: Path) -> None:
    expected = from_file(environment, root).environment
    whole = tmp_path / "whole"
    write_stacks(whole)
    copy_models(whole)
    assert not (whole / BASE).exists()
    assert from_file(environment, whole).environment == expected


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_stack_file_says_only_what_differs(environment: str) -> None:
    own, whole = StackFiles(TEAM).own(environment), whole_values(environment)
    assert own.keys() < whole.keys()
    text = (TEAM / file_name(environment)).read_text()
    written = r"^  stellwerk:(caCertificate|credentials):.*\n(    .*\n)+|^encryptionsalt.*\n"
    assert re.sub(written, "", text, flags=re.MULTILINE).count("\n") <= 25


def test_a_value_is_named_where_it_stands(root: Path) -> None:
    change(root / BASE, "quota", "pods", value=0)
    change(root / file_name("prod"), "gateway", "nodePort", value=443)
    change(root / file_name("prod"), "objectStore", "nodeport", value=1)
    places = re.findall(r"^(\S+):(\d+): stellwerk:(\S+)$", refusal(root, "prod"), re.MULTILINE)
    assert [(file, key) for file, _, key in places] == [
        (file_name("prod"), "objectStore.nodeport"),
        (file_name("prod"), "gateway.nodePort"),
        (BASE, "quota.pods"),
    ]
    for file, line, key in places:
        assert key.rpartition(".")[2] in (root / file).read_text().splitlines()[int(line) - 1]


def test_a_list_stands_in_one_file(root: Path) -> None:
    change(root / file_name("prod"), "nodePools", value=[{"name": "gpu", "accelerator": "a", "gpus": 1, "nodes": 1}])
    assert re.match(rf"{file_name('prod')}:\d+: stellwerk:nodePools.0\n", refusal(root, "prod"))
    pool = {"name": "gpu", "accelerator": "a", "gpus": 1, "external": True}
    change(root / file_name("prod"), "nodePools", value=[pool])
    assert re.match(rf"{file_name('prod')}:\d+: stellwerk:nodePools.0.nodes\n", refusal(root, "prod"))


def test_a_value_that_is_absent_in_both_belongs_into_the_stack_file(root: Path) -> None:
    document = yaml().load(root / BASE)
    del document["config"]["stellwerk:quota"]["pods"], document["config"]["stellwerk:logging"]
    yaml().dump(document, root / BASE)
    message = refusal(root, "test")
    for key in ("quota.pods", "logging"):
        assert re.search(rf"^{file_name('test')}(:\d+)?: stellwerk:{key}\n  given:   nothing", message, re.MULTILINE)


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("stellwerk:environment", "allowed: what environments share"),
        ("stellwerk:credentials", "allowed: what environments share"),
        ("pulumi:disable-default-providers", "allowed: keys that begin with stellwerk:"),
    ],
)
def test_what_is_a_stack_s_own_is_refused_in_the_base(key: str, allowed: str, root: Path) -> None:
    document = yaml().load(root / BASE)
    document["config"][key] = "dev"
    yaml().dump(document, root / BASE)
    message = refusal(root, "test")
    assert re.match(rf"{BASE}:\d+: config.{key}\n", message)
    assert allowed in message


def test_a_base_that_is_not_yaml_is_refused_by_line(root: Path) -> None:
    (root / BASE).write_text("config:\n  a: [1,\n")
    assert re.match(rf"{BASE}:\d+: not YAML", refusal(root, "dev"))


def test_a_file_that_is_removed_after_it_was_read_is_known_still(root: Path) -> None:
    files = StackFiles(root)
    assert set(files.ordered()) == set(ENVIRONMENTS)
    (root / file_name("test")).unlink()
    assert from_file("test", root, files=files).environment.environment == "test"
    files.forget("test")
    with pytest.raises(ConfigError, match='environment "test": unknown'):
        files.require("test")


@pytest.mark.parametrize("name", [BASE, *map(file_name, ENVIRONMENTS)])
def test_each_part_is_valid_for_the_schema(name: str) -> None:
    schema = environment_schema(known().document)
    jsonschema.Draft202012Validator(schema).validate(yaml().load(TEAM / name))
