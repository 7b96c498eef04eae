"""Images are built with the uv of the development lock: by version and hash, in one line of a requirements file."""

import re
from pathlib import Path

import pytest

from infra.contract.problems import ConfigError
from infra.contract.versions import version
from infra.services.images import locked
from tests.support.project import ROOT


def test_the_line_has_version_and_hashes() -> None:
    assert re.fullmatch(rf"uv=={re.escape(version('uv'))}( --hash=sha256:[0-9a-f]{{64}})+", locked(ROOT, "uv"))


def test_a_lock_without_the_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dev\.txt has no line uv==….*make lock"):
        locked(tmp_path, "uv")
