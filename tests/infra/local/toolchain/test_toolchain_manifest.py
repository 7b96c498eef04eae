"""The shipped manifest, and what a wrong one says."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from infra.contract.versions import versions
from infra.local.toolchain.errors import ToolchainError
from infra.local.toolchain.manifest import load, numbers
from infra.local.toolchain.paths import CHECKOUT, MANIFEST, MODULES
from tests.support.toolchain import GO, MakeManifest

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


def test_a_tool_that_is_built_is_the_wanted_version() -> None:
    """A go.mod is a lock: it says the version once more, and `go get` writes it."""
    for tool in load().tools:
        # No version of this module can be fetched by its number: its go.mod names the commit.
        if tool.go is None or tool.name == "pulumi-resource-kubernetes":
            continue
        lines = (MODULES / tool.go.group / "go.mod").read_text().replace("require ", "").splitlines()
        pinned = dict(line.split()[:2] for line in lines if " v" in line)
        owners = [module for module in pinned if f"{tool.go.package or tool.go.module}/".startswith(f"{module}/")]
        # A package of the group's own wraps a module: then one of them has the version.
        versions_of_it = {pinned[max(owners, key=len)]} if owners else set(pinned.values())
        assert f"v{tool.go.version or tool.version}" in versions_of_it, (
            f"{tool.name}: modules/{tool.go.group}/go.mod has another"
        )


def test_python_packages_of_a_tool_have_its_version() -> None:
    """The engine's plugins are those that the SDKs of the same release ask for; uv compiles the locks that it reads."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    pins = dict(
        line.split("==")
        for line in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
        if "==" in line
    )
    shared = pins.keys() & versions().keys()
    assert {"pulumi", "pulumi-docker-build", "pulumi-kubernetes", "uv"} <= shared
    assert {name: pins[name] for name in shared} == {name: versions()[name] for name in shared}


def test_a_version_is_written_once() -> None:
    shared = set(versions().values())
    repeated = [line for line in MANIFEST.read_text().splitlines() if any(f'"{value}"' in line for value in shared)]
    assert repeated == ['version = "1.8.0"'], "of a tool that happens to have the object store's"


def test_tools_take_their_version_from_the_list_of_versions(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.toml"
    manifest.write_text(
        GO + '[[tool]]\nname = "demo"\nversion = "{demo}"\n'
        'release = { url = "https://example.test/{version}", checksum = "{major}-{minor}-{demo}" }\n'
    )
    names = []
    for version in ("1.2.3", "1.3.0"):
        listed = tmp_path / f"{version}.toml"
        listed.write_text(f'[versions]\ndemo = "{version}"\n')
        loaded = load(manifest, tmp_path, listed)
        tool = loaded.tool("demo")
        assert tool.version == version
        assert tool.release and tool.release.url == "https://example.test/{version}"
        assert tool.release.checksum == f"{version[0]}-{version[2]}-{version}"
        names.append(loaded.digest)
    assert names[0] != names[1], "another version is another set of tools"


def test_a_version_that_is_not_listed_is_named_with_the_known(make_manifest: MakeManifest) -> None:
    with pytest.raises(ToolchainError, match=r"manifest\.toml: demo: \{helm\} is no version; known: .*traefik"):
        make_manifest('[[tool]]\nname = "demo"\nversion = "{helm}"\ndebian = { package = "demo" }\n')


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
        ('[[tool]]\nname = "a"\nversion = "1"\ngo = { group = "b" }\n', "a: no Go module group b"),
    ],
)
def test_inconsistent_manifest(make_manifest: MakeManifest, text: str, message: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        make_manifest(text)


def test_unknown_tool_lists_the_known() -> None:
    with pytest.raises(ToolchainError, match="no tool called 'helm'; known: go, kubectl"):
        load().tool("helm")


def test_versions() -> None:
    assert numbers("v1.26.8-rc1") == (1, 26, 8)
    kubectl, etcd = load().tool("kubectl"), load().tool("etcd")
    assert kubectl.accepts("1.37.1") and not kubectl.accepts("1.32.4-dispatcher")
    assert etcd.accepts(etcd.version) and not etcd.accepts("99.0.0")


# What almost everything stands on: a group with another version of one of them compiles all above it again.
_SHARED = re.compile(
    r"golang\.org/x/(crypto|net|sync|sys|term|text|time)|google\.golang\.org/(grpc|protobuf)"
    r"|k8s\.io/(api|apimachinery|client-go|klog/v2|kube-openapi|utils)|sigs\.k8s\.io/(json|yaml)"
)


def test_groups_share_versions_with_kubernetes() -> None:
    """A package that several groups need compiles once.

    Operators are left as upstream tested them; so is kube-score, which reads API versions that are no longer in the
    current one.
    """
    wanted = _requirements("kubernetes")
    differing = {
        f"{group.name}: {module} {version}, not {wanted[module]}"
        for group in MODULES.iterdir()
        if group.name not in ("kserve", "kserve-previous", "karpenter", "eck", "manifest-checks")
        for module, version in _requirements(group.name).items()
        if _SHARED.fullmatch(module) and version != wanted.get(module, version)
    }
    assert differing == set()


def _requirements(group: str) -> dict[str, str]:
    """Return the version of each module that a group requires, or puts in its place."""
    command = ["go", "mod", "edit", "-json"]
    done = subprocess.run(command, cwd=MODULES / group, capture_output=True, text=True, check=True)
    module = json.loads(done.stdout)
    required = {each["Path"]: each["Version"] for each in module["Require"]}
    return required | {
        each["Old"]["Path"]: each["New"]["Version"] for each in module["Replace"] or [] if "Version" in each["New"]
    }
