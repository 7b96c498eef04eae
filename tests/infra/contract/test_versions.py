"""A version stands in one place; what must be written a second time, for another tool, says the same."""

from pathlib import Path

import pytest

from infra.contract import versions
from infra.contract.errors import StellwerkError


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(StellwerkError, match=r"versions\.toml: no version of 'helm'; add a line, .*traefik"):
        versions.version("helm")


def test_a_platform_image_is_named_by_its_version(tmp_path: Path) -> None:
    file = tmp_path / "versions.toml"
    file.write_text('[versions]\ntraefik = "9.9"\n')
    assert versions.versions(file) == {"traefik": "9.9"}
    assert versions.platform_image("traefik") == f"stellwerk.local/traefik:{versions.version('traefik')}"
