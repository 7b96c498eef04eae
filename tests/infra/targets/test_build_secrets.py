"""Image builds reach the machine's own package indexes: what a file says to pip is said to uv, too."""

import subprocess
from pathlib import Path

from infra.targets.target import Target, uv_settings
from infra.targets.variables import BUILD_SECRETS
from tests.support.project import ROOT

_PIP = """\
[global]
timeout = 7
index-url = https://mirror.example.com/root/simple
extra-index-url =
    https://one.example.com/simple
    https://two.example.com/simple
# index-url = https://nobody.example.com
trusted-host: mirror.example.com

[install]
no-compile = true
"""


def test_uv_gets_what_pip_gets(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text(_PIP)
    secrets = Target({BUILD_SECRETS: str(tmp_path)}).build_secrets()
    assert secrets["pip"] == _PIP
    assert secrets["uv"].splitlines() == [
        'allow-insecure-host = ["mirror.example.com"]',
        'index-strategy = "unsafe-best-match"',
        "[[index]]",
        'url = "https://mirror.example.com/root/simple"',
        "default = true",
        "[[index]]",
        'url = "https://one.example.com/simple"',
        "[[index]]",
        'url = "https://two.example.com/simple"',
    ]


def test_uv_takes_the_settings(tmp_path: Path) -> None:
    """An index that nobody serves is what it then asks."""
    settings = tmp_path / "uv.toml"
    settings.write_text(uv_settings("[global]\nindex-url = http://127.0.0.1:9/simple\ntrusted-host = 127.0.0.1\n"))
    command = [ROOT / ".venv/bin/uv", "pip", "install", "--no-cache", "--target", tmp_path / "into", "six"]
    variables = {"UV_CONFIG_FILE": str(settings), "UV_HTTP_RETRIES": "0"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "http://127.0.0.1:9/simple/six/" in done.stderr


def test_without_a_file_of_pip_uv_keeps_its_defaults(tmp_path: Path) -> None:
    assert Target({BUILD_SECRETS: str(tmp_path)}).build_secrets()["uv"] == ""
    assert uv_settings("[global]\ntimeout = 7\n") == ""
