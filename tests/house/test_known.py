"""The list of what breaks a rule gets shorter, never longer."""

from tests.house.tree import compare


def test_a_listed_offender_may_stay() -> None:
    assert compare({"a.py": "301 lines"}, ["a.py"]) == []


def test_a_new_offender_is_named_with_what_is_wrong() -> None:
    assert compare({"a.py": "301 lines", "b.py": "302 lines"}, ["a.py"]) == ["b.py: 302 lines"]


def test_what_offends_no_more_is_taken_off_the_list() -> None:
    assert compare({}, ["a.py"]) == ["a.py: holds the rule now; take it off the list"]
