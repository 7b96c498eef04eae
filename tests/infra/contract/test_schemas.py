"""The JSON Schemas are up to date, and agree with the loader on the files of this repository."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from infra.contract.release import Release, Releases, ReleaseV1
from infra.contract.schema import documents, environment_schema, schema_of
from infra.contract.stacks import StackFiles, file_name
from infra.discovery import known
from infra.values import ROOT, from_file
from tests.support.documents import TEAM

RELEASES = Path(__file__).parent / "releases"
yaml = YAML(typ="safe")


def test_the_written_schemas_are_up_to_date() -> None:
    written = documents(known().document)
    stale = [file.name for file, text in written.items() if file.read_text(encoding="utf-8") != text]
    assert not stale, "run: python -m infra.schemas"


@pytest.mark.parametrize("environment", StackFiles(ROOT).names())
def test_the_stack_files_of_this_checkout_are_valid(environment: str) -> None:
    """There may be none."""
    document = yaml.load(ROOT / file_name(environment))
    jsonschema.Draft202012Validator(environment_schema(known().document)).validate(document)
    assert from_file(environment).environment.environment == environment


def test_the_schema_refuses_what_the_loader_refuses() -> None:
    document = yaml.load(TEAM / file_name("dev"))
    document["config"]["stellwerk:modells"] = {}
    document["config"]["stellwerk:gateway"]["nodePort"] = 443
    errors = jsonschema.Draft202012Validator(environment_schema(known().document)).iter_errors(document)
    assert {tuple(error.path) for error in errors} == {("config",), ("config", "stellwerk:gateway", "nodePort")}


@pytest.mark.parametrize("release", Releases(RELEASES).ids("digits"))
def test_a_release_is_valid_for_schema_and_loader(release: str) -> None:
    store = Releases(RELEASES)
    jsonschema.Draft202012Validator(schema_of(ReleaseV1)).validate(yaml.load(store.file("digits", release)))
    read = store.load("digits", release)
    assert read.metadata.release == release
    as_today = read.model_dump(mode="json", by_alias=True, exclude_none=True)
    jsonschema.Draft202012Validator(schema_of(Release)).validate(as_today)
    again = Release.model_validate_json(json.dumps(as_today))
    assert again.model_dump() == read.model_dump(), "an older release is read as one of today"
