"""Every `*.happy.yaml` loads, every `*.error.yaml` is refused with the message it expects; one rule per file."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from infra.contract.problems import ConfigError
from infra.values import Loaded, from_file
from tests.support.documents import TEAM, whole_values, write_stacks
from tests.support.models import copy_models

HERE = Path(__file__).parent
yaml = YAML(typ="safe")


def fixtures(kind: str) -> list[Any]:
    files = sorted(HERE.glob(f"*.{kind}.yaml"))
    return [pytest.param(file, id=file.name.split(".")[0]) for file in files]


def step_into(tree: Any, key: str) -> Any:
    return tree[int(key)] if isinstance(tree, list) else tree[key]


def edit(tree: Any, edits: dict[str, Any]) -> None:
    """Applies `change` (dotted path: value) and `remove` (dotted paths)."""
    for path, value in edits.get("change", {}).items():
        *parents, last = path.split(".")
        node = tree
        for parent in parents:
            node = step_into(node, parent)
        node[last] = value
    for path in edits.get("remove", []):
        *parents, last = path.split(".")
        node = tree
        for parent in parents:
            node = step_into(node, parent)
        del node[last]


def load(root: Path, fixture: dict[str, Any]) -> Loaded:
    """Writes the stack file that the fixture describes, and loads it."""
    base = fixture["base"]
    config = whole_values(base)
    config["models"] = {"digits": {"release": None, "previous": None, "replicas": 1, "nodePool": None}}
    edit(config, fixture)
    write_stacks(root)
    shutil.copytree(HERE / "releases", root / "stacks" / "releases")
    copy_models(root)
    if "release" in fixture:
        file = root / "stacks" / "releases" / "digits" / "v2-3f2a9c1d.yaml"
        release = yaml.load(file)
        edit(release, fixture["release"])
        yaml.dump(release, file)
    write(root, base, config)
    for other, edits in fixture.get("beside", {}).items():
        values = whole_values(other)
        edit(values, edits)
        write(root, other, values)
    return from_file(base, root)


def write(root: Path, environment: str, values: dict[str, Any]) -> None:
    file = root / "stacks" / f"Pulumi.{environment}.yaml"
    yaml.dump({"config": {f"stellwerk:{key}": value for key, value in values.items()}}, file)


@pytest.mark.parametrize("file", fixtures("happy"))
def test_happy(file: Path, tmp_path: Path) -> None:
    fixture = yaml.load(file)
    assert load(tmp_path, fixture).environment.environment == fixture["base"]


@pytest.mark.parametrize("file", fixtures("error"))
def test_error(file: Path, tmp_path: Path) -> None:
    fixture = yaml.load(file)
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, fixture)
    message = str(raised.value)
    missing = [text for text in fixture["expect"] if text not in message]
    assert not missing, f"not in the message:\n{message}"
    assert message.startswith(f"stacks/Pulumi.{fixture['base']}.yaml") or "stacks/releases/" in message


def test_a_problem_names_the_line_of_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, {"base": "dev", "change": {"models.digits.replicas": 0, "quota.pods": 0}})
    lines = (tmp_path / "stacks" / "Pulumi.dev.yaml").read_text().splitlines()
    places = re.findall(r"^stacks/Pulumi\.dev\.yaml:(\d+): stellwerk:\S+\.(\w+)$", str(raised.value), re.MULTILINE)
    assert {key for _, key in places} == {"pods", "replicas"}
    assert all(f"{key}: 0" in lines[int(line) - 1] for line, key in places)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'^environment "prod": unknown; allowed: none; write stacks'):
        from_file("prod", tmp_path)


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean prod"):
        from_file("prd", TEAM)


def test_text_that_is_not_yaml_is_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.dev.yaml").write_text("config:\n  a: [1,\n")
    with pytest.raises(ConfigError, match=r"stacks/Pulumi\.dev\.yaml:\d+: not YAML"):
        from_file("dev", tmp_path)
