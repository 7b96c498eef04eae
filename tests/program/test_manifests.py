"""All stacks before kubeconform, kube-score and checkov: no finding that findings.toml does not explain."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from delivery.clients.control_plane import control_plane
from infra.local.toolchain.paths import view
from tests.program.conftest import STACKS
from tests.program.harness import Recording
from tests.support import manifest_checks
from tests.support.manifest_checks import Finding
from tests.support.manifests import manifests, write, write_custom_schemas, write_schemas
from tests.support.simulated import variables
from tests.support.tools import tool

pytestmark = [pytest.mark.tools, pytest.mark.timeout(1200)]
FINDINGS = Path(__file__).with_name("findings.toml")


@pytest.fixture(scope="module")
def written(released: Mapping[str, Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of manifests per stack, each with a release."""
    folder = tmp_path_factory.mktemp("manifests")
    for stack in STACKS:
        write(manifests(released[stack].inputs), folder / stack)
    return folder


@pytest.fixture(scope="module")
def schemas(released: Mapping[str, Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas of the pinned API server, and those of KServe's definitions."""
    folder = tmp_path_factory.mktemp("schemas")
    custom = view() / "manifests" / "kserve" / "schemas"
    if not custom.exists():
        pytest.skip("kserve-manifests is not built yet: `stellwerk cluster up` does it")
    write_custom_schemas(custom, folder)
    known = {file.name.partition("_")[0] for file in folder.iterdir()}
    versions = {each["apiVersion"] for program in released.values() for each in manifests(program.inputs)}
    tool("kubeconform")
    with control_plane(variables(), tmp_path_factory.mktemp("plane")) as plane:
        write_schemas(plane, {each for each in versions if each.partition("/")[0] not in known}, folder)
    return folder


def accepted(checker: str) -> set[Finding]:
    """The findings of a checker that are explained."""
    return {
        (each["rule"], title)
        for each in tomllib.loads(FINDINGS.read_text())["accepted"]
        if each["checker"] == checker and each["reason"].strip()
        for title in each["objects"]
    }


def unexplained(findings: set[Finding], checker: str) -> Iterator[str]:
    """What findings.toml lacks, and what it explains though nobody finds it."""
    explained = accepted(checker)
    yield from (
        f"{rule}: {title}: correct it, or explain it in {FINDINGS.name}" for rule, title in findings - explained
    )
    yield from (
        f"{rule}: {title} is found no longer: take it out of {FINDINGS.name}" for rule, title in explained - findings
    )


@pytest.mark.parametrize("stack", STACKS)
def test_every_manifest_fits_the_schema_of_its_kind(stack: str, written: Path, schemas: Path) -> None:
    assert manifest_checks.kubeconform(written / stack, schemas) == []


def test_a_key_that_no_schema_knows_is_a_finding(schemas: Path, tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {sessionAffinities: None}\n"
    (tmp_path / "wrong.yaml").write_text(text)
    (finding,) = manifest_checks.kubeconform(tmp_path, schemas)
    assert "sessionAffinities" in finding


def test_kube_score_finds_what_is_explained(written: Path) -> None:
    tool("kube-score")
    findings = set[Finding]().union(*(manifest_checks.kube_score(written / stack) for stack in STACKS))
    assert sorted(unexplained(findings, "kube-score")) == []


@pytest.mark.long
def test_checkov_finds_what_is_explained(written: Path) -> None:
    assert sorted(unexplained(manifest_checks.checkov(written), "checkov")) == []
