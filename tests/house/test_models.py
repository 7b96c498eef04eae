"""The framework names no model: neither the one that comes with it nor what that takes and answers."""

import re

from tests.house.tree import hold, written

_ROOMS = ("components/", "delivery/", "infra/", "serving/", "training/")
# Figures of a number are digits, too.
_WORDS = re.compile(r"(?<!exadecimal )(?<!letters, )(?<!last )\bdigits\b|\bpixels\b|\bscores\b")


def test_no_file_of_the_framework_names_a_model() -> None:
    offenders = {
        f"{match[0]} in {name}": f"line {text.count(chr(10), 0, match.start()) + 1}: it is a model's own"
        for name, text in written().items()
        if name.startswith(_ROOMS)
        for match in _WORDS.finditer(text)
    }
    hold("models", offenders)
