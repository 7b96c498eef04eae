"""Archives, checksums, installed commands."""

import io
import os
import socket
import zipfile
from pathlib import Path

import pytest

from infra.local.toolchain import archive, packages, release
from infra.local.toolchain.context import Context
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.hosts import Hosts
from infra.local.toolchain.probing import is_dynamic, probe
from tests.support.toolchain import MakeManifest, ReleaseServer, script, tarball

DIGEST = "ab" * 32
TOOL = """
[[tool]]
name = "demo"
version = "1.5.0"
path = { arguments = ["--version"], pattern = 'demo (\\S+)', minimum = "1.2" }
debian = { package = "demo" }
"""


def test_member_of_an_archive_in_an_archive(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as bundle:
        bundle.writestr("kubectl/kubectl", "binary")
    (tmp_path / "outer.tgz").write_bytes(tarball({"./lib/layer.zip": inner.getvalue()}))
    archive.extract(tmp_path / "outer.tgz", "lib/layer.zip!kubectl/kubectl", tmp_path / "out", "outer")
    assert (tmp_path / "out").read_text() == "binary"
    with pytest.raises(ToolchainError, match=r"outer!lib/layer\.zip: holds no file nothing"):
        archive.extract(tmp_path / "outer.tgz", "lib/layer.zip!nothing", tmp_path / "out", "outer")


def test_unpack_strips_excludes_and_keeps_executables(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(tarball({"top/bin/run": b"x", "top/jdk/java": b"y"}))
    archive.unpack(tmp_path / "a.tgz", tmp_path / "out", 1, ["jdk"])
    assert [str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*")] == ["out/bin", "out/bin/run"]
    assert os.access(tmp_path / "out" / "bin" / "run", os.X_OK)


@pytest.mark.parametrize("name", ["top/../../escaped", "/escaped"])
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.tgz").write_bytes(tarball({name: b"x"}))
    with pytest.raises(ToolchainError, match="leads out of the archive"):
        archive.unpack(tmp_path / "a.tgz", tmp_path / "out", 0, [])
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize(
    "text",
    [
        f"{DIGEST}\n",
        f"{DIGEST}  demo.tgz\n",
        f"{'cd' * 32}  other.tgz\n{DIGEST} *./demo.tgz\n",
        f'{{"assets": [{{"name": "demo.tgz", "digest": "sha256:{DIGEST}"}}]}}',
    ],
)
def test_checksum_files(text: str) -> None:
    assert release.checksum(text, "demo.tgz", "sums") == DIGEST


@pytest.mark.parametrize("text", [f"{DIGEST}  other.tgz\n", "", '{"assets": [{"name": "demo.tgz", "digest": null}]}'])
def test_checksum_file_without_the_file(text: str) -> None:
    with pytest.raises(ToolchainError, match=r"sums names no SHA-256 or SHA-512 digest of demo\.tgz"):
        release.checksum(text, "demo.tgz", "sums")


def test_hosts_answer_or_not(releases: ReleaseServer) -> None:
    hosts = Hosts()
    hosts.check([f"{releases.url}/a", "http://127.0.0.1:1/c"])
    assert hosts.reachable(f"{releases.url}/other")
    assert not hosts.reachable("http://127.0.0.1:1/c")


def test_a_host_that_says_nothing_is_waited_for_as_long_as_the_patience() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        # Without end it would keep the test until its own.
        hosts = Hosts(patience_s=0.5)
        assert not hosts.reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/b")


def _install(folder: Path, content: bytes, name: str = "demo") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("demo 1.5.0", None),
        ("demo 1.2.9", None),
        ("demo 1.1.0", "is version 1.1.0"),
        ("something else", "does not say its version"),
    ],
)
def test_installed_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_manifest: MakeManifest, says: str, reason: str | None
) -> None:
    _install(tmp_path / "bin", script(says))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    result = probe(make_manifest(TOOL).tool("demo"))
    assert result is not None and result.reason == reason


def test_asking_for_the_version_leaves_nothing_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_manifest: MakeManifest
) -> None:
    """Pulumi writes a log of every command."""
    place = "${PULUMI_HOME:-$HOME/.pulumi}/logs"
    _install(tmp_path / "bin", f'#!/bin/sh\nmkdir -p "{place}"\necho demo 1.5.0\n'.encode())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PULUMI_HOME", raising=False)
    result = probe(make_manifest(TOOL).tool("demo"))
    assert result is not None and result.reason is None
    assert not (tmp_path / "home").exists()


def test_the_own_view_on_path_is_not_an_installed_tool(
    cache: Path, monkeypatch: pytest.MonkeyPatch, make_manifest: MakeManifest
) -> None:
    _install(cache / "toolchains" / "x" / "bin", script("demo 1.5.0"))
    monkeypatch.setenv("PATH", f"{cache / 'toolchains' / 'x' / 'bin'}:{os.environ['PATH']}")
    assert probe(make_manifest(TOOL).tool("demo")) is None


def test_a_script_and_a_dynamic_binary_are_not_static(tmp_path: Path) -> None:
    _install(tmp_path, script("demo"))
    assert is_dynamic(tmp_path / "demo")
    assert is_dynamic(Path("/bin/ls"))


def test_a_package_installation_that_was_killed_is_completed(
    make_manifest: MakeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """apt refuses until dpkg is configured: nobody should have to do that by hand."""
    manifest = make_manifest(TOOL.replace('package = "demo"', 'package = "demo", install = true'))
    tools, calls = tmp_path / "bin", tmp_path / "calls"
    tools.mkdir()
    programs = {
        "apt-get": f"""echo "apt-get $2" >> {calls}
grep -q dpkg {calls} || {{
    echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem." >&2
    exit 100
}}""",
        "dpkg": f'echo "dpkg $*" >> {calls}',
    }
    for name, text in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    context = Context(manifest, tmp_path / "work", tmp_path / "logs", Hosts(), lambda *_: None, user=0)
    context.work.mkdir()
    packages.debian_fetch(manifest.tool("demo"), tmp_path, context)
    assert calls.read_text().splitlines() == ["apt-get install", "dpkg --configure -a", "apt-get install"]
