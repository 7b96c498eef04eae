"""Another project's program, in YAML, that uses the components: on the local cluster, beside the environments."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.package import PACKAGE, journey, package_engine
from tests.support.project import Project
from tests.support.tools import tool

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]


@pytest.mark.lane("own")
def test_the_example_in_yaml_is_applied_changed_and_taken_away(project: Project, tmp_path: Path) -> None:
    tool("pulumi-language-yaml")
    python = project.root / ".venv"
    engine = package_engine(tmp_path, python, KUBECONFIG=project.variables["KUBECONFIG"])
    shutil.copy(PACKAGE / "example" / "Pulumi.yaml", engine.program)
    engine.start()

    def read(path: str) -> Any:
        return json.loads(project.kubectl("get", "--raw", path))

    journey(engine, read)
