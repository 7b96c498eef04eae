"""What the manifest checkers say, as findings that can be compared: the rule, and the object that breaks it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from infra.local.toolchain.paths import cache
from tests.support.manifests import SCHEMA_LOCATION
from tests.support.tools import tool

Finding = tuple[str, str]
"""A rule, and `Kind/name`."""
_CHECKOV = Path(__file__).parent / "checkov" / "requirements.txt"
# kube-score's grades: 10 is without fault.
_FAULTLESS = 10
# Where the file says so.
_SKIPPED = "skipped"


def kubeconform(manifests: Path, schemas: Path) -> list[str]:
    """Return what is wrong with manifests by the schemas in a folder; a kind without a schema is wrong, too."""
    command = [tool("kubeconform"), "-strict", "-schema-location", schemas / SCHEMA_LOCATION, "-output", "json"]
    answer = _json([*command, manifests])
    return [f"{each['filename']}: {each['msg']}" for each in answer["resources"]]


def kube_score(manifests: Path) -> set[Finding]:
    """Return what kube-score finds in the manifests of a folder, which are judged together."""
    answer = _json([tool("kube-score"), "score", "--output-format", "json", *sorted(manifests.glob("*.yaml"))])
    return set(_scored(answer))


def _scored(answer: Any) -> Iterator[Finding]:
    for each in answer:
        title = f"{each['type_meta']['kind']}/{each['object_meta']['name']}"
        for check in each["checks"]:
            if not check[_SKIPPED] and check["grade"] < _FAULTLESS:
                yield check["check"]["id"], title


def checkov(manifests: Path) -> set[Finding]:
    """Return what checkov finds in the manifests below a folder."""
    failed = _checkov("--directory", manifests, "--framework", "kubernetes")
    return {(each["check_id"], _title(each["resource"])) for each in failed}


def checkov_plan(plan: Path) -> set[Finding]:
    """Return what checkov finds in a plan of Terraform: the rule, and `type.name`."""
    return {(each["check_id"], each["resource"]) for each in _checkov("--file", plan, "--framework", "terraform_plan")}


def _checkov(*arguments: str | Path) -> list[dict[str, Any]]:
    command = [_environment() / "bin" / "checkov", *arguments]
    answer = _json([*command, "--output", "json", "--quiet", "--compact", "--skip-download"])
    assert answer["summary"]["parsing_errors"] == 0
    failed: list[dict[str, Any]] = answer["results"]["failed_checks"]
    return failed


def _title(resource: str) -> str:
    """Return `Kind/name` of `Kind.namespace.name`."""
    kind, _, rest = resource.partition(".")
    return f"{kind}/{rest.partition('.')[2]}"


def _environment() -> Path:
    """Return checkov's own environment: its pins exclude those of the project."""
    place = cache() / "checkov" / sha256(_CHECKOV.read_bytes()).hexdigest()[:16]
    complete = place / "complete"
    if not complete.exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, place], check=True)
        install = [uv, "pip", "install", "--quiet", "--require-hashes", "--python", place / "bin" / "python"]
        subprocess.run([*install, "--requirement", _CHECKOV], check=True)
        complete.touch()
    return place


def _json(command: Sequence[str | Path]) -> Any:
    """Return the JSON that a checker prints: its exit code only says that there are findings."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.stdout.strip(), done.stderr[-3000:]
    return json.loads(done.stdout)
