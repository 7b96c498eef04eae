"""The table of the long tests."""

from collections import Counter

from tests import long

OWN, OTHER = "tests/test_long.py", "tests/test_all.py"


def test_a_row_says_what_the_file_shows_and_how_it_went() -> None:
    made = long.row(OWN, Counter(passed=2, failed=1), 90, "today")
    assert made == f"| `{OWN}` | The table of the long tests. | 1 failed, 2 passed | 1.5 | today |"


def test_rows_of_what_did_not_run_stay_and_those_of_files_that_are_gone_go() -> None:
    before = long.page("", {file: f"| `{file}` | before |" for file in (OWN, OTHER)})
    after = long.page(before + "| `tests/gone.py` | before |\n", {OWN: f"| `{OWN}` | after |"})
    assert after.splitlines()[-2:] == [f"| `{OTHER}` | before |", f"| `{OWN}` | after |"]
