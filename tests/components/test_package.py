"""The components as a package: complete, described as written down, and usable by programs of others."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from components.package import COMPONENTS, whole
from components.reference import SCHEMA, schema, texts
from tests.support.package import PACKAGE, package_engine


def test_the_package_has_every_component() -> None:
    sources = [file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")]
    declared = {name for text in sources for name in re.findall(r'super\(\).__init__\("stellwerk:index:(\w+)"', text)}
    assert declared == {component.__name__ for component in COMPONENTS}


def test_schema_and_reference_are_up_to_date() -> None:
    stale = [file.name for file, text in texts().items() if not file.exists() or file.read_text("utf-8") != text]
    assert not stale, "run: python -m components.reference"


def test_everything_that_a_program_sees_is_described() -> None:
    assert list(_undescribed(schema())) == []


def _undescribed(document: Mapping[str, Any]) -> Iterator[str]:
    for token, each in [*document["resources"].items(), *document["types"].items()]:
        if not each.get("description"):
            yield token
        for place in ("inputProperties", "properties"):
            for name, value in each.get(place, {}).items():
                if not value.get("description"):
                    yield f"{token}.{name}"


def test_whole_numbers_are_integers() -> None:
    assert repr(whole({"pods": 40.0, "ports": [{"serving": 2.0}], "share": 0.5, "on": True, "text": "1.0"})) == repr(
        {"pods": 40, "ports": [{"serving": 2}], "share": 0.5, "on": True, "text": "1.0"}
    )
    other = object()
    assert whole([other]) == [other], "what is no plain value is left alone: an output, an asset"


@pytest.mark.tools
def test_the_plugin_serves_the_written_schema(tmp_path: Path) -> None:
    served = package_engine(tmp_path).schema()
    written = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert {key: served[key] for key in written} == written
