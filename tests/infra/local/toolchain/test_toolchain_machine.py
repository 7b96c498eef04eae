"""Machine checks and the doctor command."""

import json
import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from infra.local import doctor
from infra.local.cluster.layout import Layout
from infra.local.toolchain import machine
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.inspection import inspect
from infra.targets.needs import Needs
from tests.support.toolchain import MakeManifest


def test_needs_on_one_file_system_add_up(tmp_path: Path) -> None:
    checks = machine.disk({tmp_path / "not" / "there": 1, tmp_path: 1 << 20})
    assert len(checks) == 1 and not checks[0].ok
    assert f"{(1 << 20) + 1} needed" in checks[0].detail and "STELLWERK_STATE" in checks[0].fix


def test_a_full_disk_stops_builds() -> None:
    with pytest.raises(ToolchainError, match=r"disk: .* needed; free some, or set XDG_CACHE_HOME"):
        machine.require_space_for_builds(1 << 20)


def test_other_platforms_are_refused() -> None:
    with pytest.raises(ToolchainError, match="Linux aarch64: the local cluster needs Linux on amd64"):
        machine.require_platform(machine.Host(system="Linux", architecture="aarch64"))


def test_only_listeners_on_all_addresses_are_in_the_way() -> None:
    with socket.socket() as own, socket.socket() as everywhere:
        own.bind(("127.0.0.1", 0))
        own.listen(1)
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen(1)
        assert machine.port_free(own.getsockname()[1])
        assert not machine.port_free(everywhere.getsockname()[1])
        port = everywhere.getsockname()[1]
        names = [check.name for check in machine.checks(Path("/"), {port: "the test"}, False, True) if not check.ok]
        assert f"port {port}" in names


@pytest.mark.parametrize(
    ("symbols", "ok"),
    [
        ("ffffffff81fc1e10 T nft_register_expr\n", True),
        ("ffffffff81fc1e10 T nft_register_expr\t[nf_tables]\n", True),
        ("ffffffff81fc1e00 T __pfx_nft_register_expr\n", False),
        (None, False),
    ],
)
def test_nf_tables_built_into_the_kernel_counts(symbols: str | None, ok: bool, tmp_path: Path) -> None:
    if symbols is not None:
        (tmp_path / "kallsyms").write_text(symbols)
    host = machine.Host(kernel_symbols=tmp_path / "kallsyms", find=lambda name, folders: None)
    check = {check.name: check for check in machine.checks(Path("/"), {}, False, True, host)}["nf_tables"]
    assert check.ok is ok
    assert "modprobe nf_tables" in check.fix


def test_doctor_reports_tools_and_machine(make_manifest: MakeManifest, tmp_path: Path) -> None:
    manifest = make_manifest(
        '[[tool]]\nname = "lost"\nversion = "1"\n[tool.release]\nurl = "http://127.0.0.1:1/x"\nchecksum = "x"\n'
    )
    app = typer.Typer()
    app.command()(
        doctor.doctor_command(
            Needs, lambda *_: 0, lambda elastic: inspect(manifest, elastic=elastic), lambda: Layout(tmp_path / "state")
        )
    )
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [(tool["name"], tool["ok"]) for tool in report["tools"]] == [("go", True), ("lost", False)]
    assert {"platform", "root", "memory", "disk"} <= {check["name"] for check in report["machine"]}
    shown = CliRunner().invoke(app, [])
    assert "✗ lost" in shown.stdout.replace("  ", " ").replace("  ", " ")
    assert "does not answer" in shown.stdout
