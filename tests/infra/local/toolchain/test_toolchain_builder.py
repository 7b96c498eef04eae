"""Getting tools: each source, the order, what is kept, what an error says."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from infra.local.toolchain import gobuild
from infra.local.toolchain.builder import Toolchain, ensure
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.inspection import inspect
from infra.local.toolchain.manifest import Manifest
from tests.support.toolchain import MakeManifest, ReleaseServer, go_group, script, tarball


def _get(manifest: Manifest, *names: str) -> Toolchain:
    return ensure(manifest, names or None, Console(quiet=True), 0)


def _output(path: Path) -> str:
    done = subprocess.run([path], capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).strip()


def _released(url: str, name: str = "demo", extra: str = "") -> str:
    return f"""
[[tool]]
name = "{name}"
version = "1.0"
path = {{ pattern = '{name} (\\S+)' }}
{extra}

[tool.release]
url = "{url}/v{{version}}/both.tgz"
checksum = "{url}/v{{version}}/both.tgz.sha256"
members = {{ {name} = "dist-{{version}}/{name}" }}
"""


def _built(name: str, group: str, release: str = "") -> str:
    go = f'[tool.go]\ngroup = "{group}"\npackage = "."\n'
    return f'\n[[tool]]\nname = "{name}"\nversion = "1.0"\nstatic = true\n{release}\n{go}'


def test_release_is_downloaded_once_for_two_tools_and_kept(
    releases: ReleaseServer, make_manifest: MakeManifest, cache: Path
) -> None:
    files = {"dist-1.0/demo": script("demo 1.0"), "dist-1.0/other": script("other 1.0")}
    releases.publish("/v1.0/both.tgz", tarball(files))
    manifest = make_manifest(_released(releases.url) + _released(releases.url, "other"))
    toolchain = _get(manifest)
    assert _output(toolchain.bin / "demo") == "demo 1.0" and _output(toolchain.paths["other"]) == "other 1.0"
    assert releases.asked.count("/v1.0/both.tgz") == 1
    asked = len(releases.asked)
    assert _get(manifest) == toolchain
    assert len(releases.asked) == asked
    record = json.loads(next((cache / "store").glob("demo-*/built.json")).read_text())
    assert record["source"] == "official release" and record["version"] == "1.0" and record["seconds"] >= 0


def test_an_altered_release_is_refused(releases: ReleaseServer, make_manifest: MakeManifest, cache: Path) -> None:
    releases.publish("/v1.0/both.tgz", tarball({"dist-1.0/demo": script("demo 1.0")}))
    releases.files["/v1.0/both.tgz"] += b"x"
    with pytest.raises(ToolchainError, match=r"demo 1\.0 is not available: .*has the digest .*, published is"):
        _get(make_manifest(_released(releases.url)))
    assert not list((cache / "store").glob("*"))


def test_a_release_that_reports_another_version_is_refused(
    releases: ReleaseServer, make_manifest: MakeManifest
) -> None:
    releases.publish("/v1.0/both.tgz", tarball({"dist-1.0/demo": script("demo 0.9")}))
    with pytest.raises(ToolchainError, match=r"official release is version 0\.9; 1\.0 is wanted"):
        _get(make_manifest(_released(releases.url)))


def test_an_installed_tool_comes_first_until_it_changes(
    releases: ReleaseServer, make_manifest: MakeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.publish("/v1.0/both.tgz", tarball({"dist-1.0/demo": script("demo 1.0")}))
    own = tmp_path / "own" / "demo"
    own.parent.mkdir()
    own.write_bytes(script("demo 1.0"))
    own.chmod(0o755)
    monkeypatch.setenv("PATH", f"{own.parent}:{os.environ['PATH']}")
    manifest = make_manifest(_released(releases.url))
    assert _get(manifest).paths["demo"] == own and releases.asked == []
    own.write_bytes(script("demo 2.0"))
    os.utime(own, ns=(time.time_ns(), time.time_ns() + 1))
    toolchain = _get(manifest)
    assert toolchain.paths["demo"] != own and _output(toolchain.bin / "demo") == "demo 1.0"


def test_go_modules_are_built_once_and_again_when_a_source_changes(make_manifest: MakeManifest, cache: Path) -> None:
    first = make_manifest(_built("hello", "hello"), go_group("hello", "one"))
    assert _output(_get(first).bin / "hello") == "one"
    binary = _get(first).paths["hello"]
    stamp = binary.stat().st_mtime_ns
    (cache / "toolchains" / first.digest / "toolchain.json").unlink()
    assert _get(first).paths["hello"].stat().st_mtime_ns == stamp, "the store's entry was built again"
    second = make_manifest(_built("hello", "hello"), go_group("hello", "two"))
    assert _output(_get(second).bin / "hello") == "two"
    assert _output(_get(first).bin / "hello") == "one"


def test_what_tests_alone_need_is_got_by_its_name_only(make_manifest: MakeManifest) -> None:
    tests = _built("other", "other", 'part = "tests"')
    manifest = make_manifest(_built("hello", "hello") + tests, {**go_group("hello", "1"), **go_group("other", "2")})
    assert not (_get(manifest).bin / "other").exists()
    assert [status.name for status in inspect(manifest)] == ["go", "hello"]
    assert _output(_get(manifest, "other").bin / "other") == "2"


def _patched(pattern: str) -> str:
    patch = (
        f"[[tool.go.patch]]\nmodule = \"example.test/word\"\nfile = \"word.go\"\nreplace = [['{pattern}', 'changed']]\n"
    )
    return _built("hello", "hello") + patch


def test_a_patched_file_of_a_dependency_is_compiled(
    make_manifest: MakeManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    word = tmp_path / "word"
    word.mkdir()
    (word / "go.mod").write_text("module example.test/word\n\ngo 1.21\n")
    (word / "word.go").write_text('package word\n\nconst Word = "one"\n')
    monkeypatch.setattr(gobuild, "_module_folder", lambda *_: word)
    group = go_group("hello", "")
    group["hello/go.mod"] += "\nrequire example.test/word v1.0.0\n"
    group["hello/main.go"] = 'package main\n\nimport "example.test/word"\n\nfunc main() { println(word.Word) }\n'
    assert _output(_get(make_manifest(_patched("o.e"), group)).bin / "hello") == "changed"
    assert "one" in (word / "word.go").read_text()
    with pytest.raises(ToolchainError, match=r"hello: example\.test/word word\.go has nothing like 'two' to replace"):
        _get(make_manifest(_patched("two"), group))


def test_a_release_that_fails_gives_way_to_the_build(releases: ReleaseServer, make_manifest: MakeManifest) -> None:
    release = f'release = {{ url = "{releases.url}/gone", checksum = "{releases.url}/gone.sha256" }}'
    toolchain = _get(make_manifest(_built("hello", "hello", release), go_group("hello", "built")))
    assert _output(toolchain.bin / "hello") == "built"
    assert "/gone.sha256" in releases.asked


def test_a_failed_build_tells_all_and_keeps_what_is_finished(make_manifest: MakeManifest, cache: Path) -> None:
    modules = {**go_group("good", "fine"), **go_group("bad", "never")}
    modules["bad/main.go"] = "package main\n\nfunc main() { undefined() }\n"
    manifest = make_manifest(_built("good", "good") + _built("bad", "bad"), modules)
    with pytest.raises(ToolchainError) as caught:
        _get(manifest)
    text = str(caught.value)
    assert text.startswith("bad: the command failed with exit code 1:")
    assert "go list -export" in text and "undefined: undefined" in text
    assert f"Whole log: {cache / 'logs' / 'bad.log'}" in text
    assert _output(_get(manifest, "good").bin / "good") == "fine"


def test_a_half_finished_store_entry_is_built_again(make_manifest: MakeManifest, cache: Path) -> None:
    manifest = make_manifest(_built("hello", "hello"), go_group("hello", "whole"))
    entry = _get(manifest).paths["hello"].parent
    (entry / "built.json").unlink()
    (cache / "toolchains" / manifest.digest / "toolchain.json").unlink()
    (entry / "hello").write_text("half")
    assert _output(_get(manifest).bin / "hello") == "whole"


def test_everything_that_cannot_be_had_is_named_before_anything_starts(
    make_manifest: MakeManifest, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = '\n[[tool]]\nname = "{}"\nversion = "1.0"\n[tool.release]\nurl = "http://127.0.0.1:1/{}"\nchecksum = "x"\n'
    manifest = make_manifest(
        lost.format("one", "one") + _built("hello", "hello") + lost.format("two", "two"), go_group("hello", "x")
    )
    with pytest.raises(ToolchainError) as caught:
        _get(manifest)
    assert "- one 1.0: http://127.0.0.1:1 does not answer\n- two 1.0: http://127.0.0.1:1 does not" in str(caught.value)
    assert not list((cache / "store").glob("*"))
    status = {tool.name: tool for tool in inspect(manifest)}
    assert not status["one"].ok and status["one"].problem == "http://127.0.0.1:1 does not answer"
    assert status["hello"].ok and status["hello"].installed is None and status["hello"].how == "Go modules, about 5 s"
    assert status["go"].source == "installed"


def test_two_runs_at_once_build_once(make_manifest: MakeManifest, cache: Path, tmp_path: Path) -> None:
    manifest = make_manifest(_built("hello", "hello"), go_group("hello", "shared"))
    root = manifest.modules.parent
    program = (
        "import sys; from pathlib import Path; from rich.console import Console\n"
        "from infra.local.toolchain.builder import ensure; from infra.local.toolchain.manifest import load\n"
        "root = Path(sys.argv[1])\n"
        "ensure(load(root / 'manifest.toml', root / 'modules'), None, Console(width=200), 0)\n"
    )
    command = [sys.executable, "-c", program, str(root)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    texts = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], texts
    assert sum("Go modules" in text for text in texts) == 1, texts
