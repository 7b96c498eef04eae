"""CODEOWNERS as GitHub and GitLab read it: whose approval a change of a file needs."""

from pathlib import Path

import pytest

from delivery.clients.codeowners import CodeOwners, codeowners, group
from infra.contract.forge import ForgeKind
from infra.contract.problems import ConfigError

GITHUB, GITLAB = ForgeKind.GITHUB, ForgeKind.GITLAB
SECTIONS = """\
* @everybody
/stacks/ @team/platform  # all of them
stacks/Pulumi.dev.yaml

[Models] @team/engineers
models/
/stacks/releases/ @team/release-board

^[Advice][2] @team/advisers
*

[models]
/models/imported/ @team/importers
!/models/imported/*.md
"""


def owners(text: str, kind: ForgeKind, path: str) -> list[tuple[int, tuple[str, ...]]]:
    return [(rule.line, rule.owners) for rule in CodeOwners("CODEOWNERS", text, kind).rules(path)]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("README.md", [(1, ("@everybody",))]),
        ("stacks/Pulumi.prod.yaml", [(2, ("@team/platform",))]),
        ("stacks/releases/m/v1.yaml", [(2, ("@team/platform",)), (7, ("@team/release-board",))]),
        # Without owners, and outside of a section: nobody's.
        ("stacks/Pulumi.dev.yaml", []),
        # Not from the top: at any depth.
        ("more/models/train.py", [(1, ("@everybody",)), (6, ("@team/engineers",))]),
        ("models/imported/m/model.onnx", [(1, ("@everybody",)), (13, ("@team/importers",))]),
        ("models/imported/README.md", [(1, ("@everybody",))]),
    ],
)
def test_of_gitlab_s_sections_each_has_its_last_match(path: str, expected: list[tuple[int, tuple[str, ...]]]) -> None:
    assert owners(SECTIONS, GITLAB, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("README.md", [(1, ("@org/everybody", "somebody@example.test"))]),
        ("stacks/Pulumi.prod.yaml", [(4, ("@org/platform",))]),
        ("stacks/releases/m/v1.yaml", [(2, ("@org/engineers",))]),
        ("stacks/Pulumi.dev.yaml", []),
        ("docs/a b.md", [(6, ("@writer",))]),
    ],
)
def test_of_github_s_list_the_last_match_wins(path: str, expected: list[tuple[int, tuple[str, ...]]]) -> None:
    text = (
        "* @org/everybody somebody@example.test\n/stacks/ @org/engineers # @nobody\n/stacks/*.yml @org/nobody\n"
        "/stacks/Pulumi.*.yaml @org/platform\n/stacks/Pulumi.dev.yaml\n/docs/a\\ b.md @writer\n!README.md @nobody\n"
    )
    assert owners(text, GITHUB, path) == expected


@pytest.mark.parametrize("kind", [GITHUB, GITLAB])
def test_a_pattern_that_is_none_is_named(kind: ForgeKind) -> None:
    with pytest.raises(ConfigError, match=r"CODEOWNERS: .*a\[b.*; correct the line"):
        owners("a[b @somebody\n", kind, "README.md")


def test_each_forge_takes_the_first_file_of_its_own_places(tmp_path: Path) -> None:
    assert codeowners(tmp_path, GITHUB) is None
    for name in ("docs", ".gitlab", ".github"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "CODEOWNERS").write_text(f"* @{name.strip('.')}\n")
    for kind, name in ((GITHUB, ".github"), (GITLAB, "docs")):
        file = codeowners(tmp_path, kind)
        assert file is not None
        assert file.name == f"{name}/CODEOWNERS"
    assert codeowners(tmp_path, ForgeKind.BITBUCKET) is None


@pytest.mark.parametrize(
    ("owner", "name"),
    [("@org/Platform-Team", "platform-team"), ("@a/b/c", "c"), ("@who", "who"), ("@@maintainers", "maintainers"),
     ("a/b@example.test", "a/b@example.test")],
)  # fmt: skip
def test_values_know_an_owner_by_the_last_part_of_its_name(owner: str, name: str) -> None:
    assert group(owner) == name
