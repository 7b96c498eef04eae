"""docs/find-your-room.md is short, and what a page names exists."""

import re

from tests.house.tree import ROOT, hold, written

_PAGE = "docs/find-your-room.md"
_ROWS = 15
_FOLDERS = (
    *(
        "benchmarks",
        "components",
        "delivery",
        "docs",
        "infra",
        "models",
        "serving",
        "shipping",
        "stacks",
        "tests",
        "training",
    ),
)
# A path in backticks, from the root of the checkout on; one with a placeholder or a `*` names a pattern.
_PATH = re.compile(rf"`((?:{'|'.join(_FOLDERS)})/[\w./-]*|[\w-]+\.(?:toml|yaml|md))`")
# The file of a link, without the section; addresses of the web have a colon.
_LINK = re.compile(r"\]\(([^)#:\s]+)")
# A team has files of its own.
_TEAM = ("models/", "stacks/")


def test_the_table_of_changes_has_15_rows_at_most() -> None:
    rest = written()[_PAGE].partition("\n## I want to change")[2]
    assert rest, f"{_PAGE} has no section `I want to change`"
    table = [line for line in rest.split("\n## ")[0].splitlines() if line.startswith("|")]
    assert 0 < len(table) - 2 <= _ROWS


def test_every_path_that_a_page_names_exists() -> None:
    offenders = {
        f"{path} in {page}": "no such file or folder"
        for page, text in written().items()
        if page.endswith(".md")
        for path in _PATH.findall(text)
        if not path.startswith(_TEAM)
        and not (ROOT / path).exists()
        and not (ROOT / page).parent.joinpath(path).exists()
    }
    hold("paths", offenders)


def test_every_link_between_pages_leads_somewhere() -> None:
    offenders = {
        f"{link} in {page}": "no such file"
        for page, text in written().items()
        if page.endswith(".md")
        for link in _LINK.findall(text)
        if not (ROOT / page).parent.joinpath(link).exists()
    }
    hold("links", offenders)
