"""Evidence is read from its place, and refused when it says something else than its place."""

from pathlib import Path

import pytest

from infra.contract.evidence import EvidenceFolder
from infra.contract.problems import ConfigError

RELEASE = "v2-3f2a9c1d"
TEXT = f"""\
apiVersion: stellwerk.dev/v1
kind: Evidence
metadata: {{model: digits, release: {RELEASE}, environment: test, gate: load, created: '2026-01-31T12:00:00Z'}}
subject:
  artefact: sha256:3f2a9c1d{"0" * 56}
  servingImage: registry.test/serving@sha256:{"5" * 64}
result:
  passed: true
  values: {{p99Milliseconds: 12.5, failed: 0}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> EvidenceFolder:
    place = tmp_path / "digits" / RELEASE
    place.mkdir(parents=True)
    (place / "test-load.yaml").write_text(TEXT)
    return EvidenceFolder(tmp_path)


def test_evidence_of_a_release_is_found(folder: EvidenceFolder) -> None:
    (evidence,) = folder.of("digits", RELEASE)
    assert (evidence.metadata.environment, evidence.metadata.gate, evidence.result.passed) == ("test", "load", True)
    assert evidence.result.values == {"p99Milliseconds": 12.5, "failed": 0}
    assert folder.of("digits", "v1-0a1b2c3d") == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("gate: load", "gate: accuracy", ("metadata.gate", '"test-accuracy"', '"test-load"')),
        ("environment: test", "environment: prod", ("metadata.gate", '"prod-load"')),
        (f"release: {RELEASE}", "release: v1-0a1b2c3d", ("metadata.release", f'"{RELEASE}"')),
        ("sha256:3f2a9c1d", "sha256:00000000", ("subject.artefact", '"3f2a9c1d"')),
        ("passed: true", "passed: 'yes'", ("result.passed", "true or false")),
        (f"serving@sha256:{'5' * 64}", "serving:1", ("subject.servingImage", "by digest")),
        ("kind: Evidence", "kind: Release", ("kind", "allowed: Evidence")),
    ],
)
def test_what_is_not_of_its_place_is_refused(
    old: str, new: str, expected: tuple[str, ...], folder: EvidenceFolder
) -> None:
    assert old in TEXT
    (folder.folder / "digits" / RELEASE / "test-load.yaml").write_text(TEXT.replace(old, new))
    with pytest.raises(ConfigError) as raised:
        folder.of("digits", RELEASE)
    message = str(raised.value)
    assert message.startswith(f"stacks/evidence/digits/{RELEASE}/test-load.yaml:")
    assert not [text for text in expected if text not in message], message
