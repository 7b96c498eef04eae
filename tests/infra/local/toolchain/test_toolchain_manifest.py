"""The shipped manifest, and what a wrong one says."""

import pytest

from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.manifest import load, numbers
from infra.local.toolchain.paths import MANIFEST, MODULES
from tests.support.toolchain import MakeManifest

# Words of the names of package indexes: which one is asked is the machine's own setting.
REGISTRIES = ("proxy.golang", "pypi.", "pythonhosted", "npmjs", "repo1.maven", "deb.debian")


def test_the_shipped_manifest_names_no_package_registry() -> None:
    text = MANIFEST.read_text()
    assert [host for host in REGISTRIES if host in text] == []


def test_packages_built_are_pinned_in_their_group() -> None:
    for tool in load().tools:
        if tool.go is None:
            continue
        module_file = (MODULES / tool.go.group / "go.mod").read_text()
        for path in filter(None, (tool.go.package, tool.go.module)):
            known = path.startswith(".") or any(
                path == line.split()[0] or path.startswith(f"{line.split()[0]}/")
                for line in module_file.replace("require ", "").splitlines()
                if line.split()
            )
            assert known, f"{tool.name}: {path} is not required by group {tool.go.group}"


def test_tools_of_one_group_follow_each_other() -> None:
    groups = [tool.go.group for tool in load().tools if tool.go and tool.go.package]
    changes = [group for before, group in zip([None, *groups], groups, strict=False) if group != before]
    assert len(changes) == len(set(changes)), "a group that comes twice compiles its shared packages far apart"


def test_every_image_binary_must_be_static() -> None:
    from infra.local.cluster.images import IMAGES

    assert [image.tool for image in IMAGES if not load().tool(image.tool).static] == []


def test_unknown_key_names_tool_and_key(make_manifest: MakeManifest) -> None:
    with pytest.raises(ToolchainError, match=r"manifest\.toml: tool\.demo\.colour: Extra inputs"):
        make_manifest('[[tool]]\nname = "demo"\nversion = "1"\ncolour = "red"\ndebian = { package = "demo" }\n')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[tool]]\nname = "demo"\nversion = "1"\n', "names no source besides PATH"),
        ('[[tool]]\nname = "go"\nversion = "1"\ndebian = { package = "x" }\n', "named twice: go"),
        ('[[tool]]\nname = "a"\nversion = "1"\ngo = { group = "b" }\n', "a: there is no Go module group b"),
    ],
)
def test_inconsistent_manifest(make_manifest: MakeManifest, text: str, message: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        make_manifest(text)


def test_unknown_tool_lists_the_known() -> None:
    with pytest.raises(ToolchainError, match="no tool called 'helm'; there are: go, kubectl"):
        load().tool("helm")


def test_versions() -> None:
    assert numbers("v1.26.8-rc1") == (1, 26, 8)
    kubectl, etcd = load().tool("kubectl"), load().tool("etcd")
    assert kubectl.accepts("1.37.1") and not kubectl.accepts("1.32.4-dispatcher")
    assert etcd.accepts(etcd.version) and not etcd.accepts("99.0.0")
