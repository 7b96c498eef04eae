"""Definitions of custom resources, as the toolchain has them of their projects, in a control plane of a test's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.clients.control_plane import ControlPlane, RefusedError
from infra.local.toolchain.paths import manifests_folder
from tests.support.tools import eventually

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def define(plane: ControlPlane, folder: str) -> None:
    """Make the definitions of a folder of the toolchain's manifests; skip the test where they are not there."""
    place = manifests_folder() / folder
    if not place.is_dir():
        pytest.skip(f"{place} is not made yet: `.venv/bin/python -m infra.local.toolchain --only …` does it")
    for file in sorted(place.glob("*.yaml")):
        for definition in yaml.load_all(file.read_text(), yaml.CSafeLoader):
            path = _path(definition["spec"])
            try:
                plane.create(_DEFINITIONS, definition)
            except RefusedError as error:
                assert "already exists" in str(error)
            eventually(lambda path=path: plane.client.get(path).is_success, Path("/dev/null"))


def _path(spec: Mapping[str, Any]) -> str:
    """Return where objects of a definition are listed: once that is answered they can be made, too."""
    version = next(each["name"] for each in spec["versions"] if each["served"])
    return f"/apis/{spec['group']}/{version}/{spec['names']['plural']}"
