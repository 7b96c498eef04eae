"""The framework names no model and no team: neither those that come with it nor what they take and answer."""

import re

from tests.house.tree import ROOT, hold, written
from tests.support.documents import ENVIRONMENTS, MODEL, TEAM, whole_values

_ROOMS = ("components/", "delivery/", "infra/", "serving/", "training/")
# Figures of a number are digits, too.
_WORDS = re.compile(r"(?<!exadecimal )(?<!letters, )(?<!last )\b(digits|pixels|scores|energy|tumours|wages)\b")


def test_no_file_of_the_framework_names_a_model() -> None:
    hold("models", _naming(_WORDS, "it is a model's own"))


def test_no_file_of_the_framework_names_a_team() -> None:
    groups = {group for name in ENVIRONMENTS for role in whole_values(name)["roles"].values() for group in role}
    assert groups
    hold("teams", _naming(re.compile(rf"\b({'|'.join(sorted(groups))})\b"), "it is a group of a team's"))


def test_the_demo_trains_what_the_tests_of_the_cluster_have() -> None:
    """Which model that is stands in the Makefile; a checkout need not have it."""
    assert re.findall(r"^MODELS = (\S+)", (ROOT / "Makefile").read_text(), re.M) == [MODEL]
    assert (TEAM / "demo" / MODEL / "model.yaml").is_file()


def _naming(words: re.Pattern[str], wrong: str) -> dict[str, str]:
    """Return each place of the framework that uses such a word."""
    return {
        f"{match[0]} in {name}": f"line {text.count(chr(10), 0, match.start()) + 1}: {wrong}"
        for name, text in written().items()
        if name.startswith(_ROOMS)
        for match in words.finditer(text)
    }
