"""The locks: pinned, hashed, and free of index addresses so that a company mirror works unchanged."""

import re
from pathlib import Path

import pytest

from infra.local.lock import ROOT, locks


@pytest.mark.parametrize("lock", sorted(locks()), ids=str)
def test_a_lock_is_pinned_hashed_and_names_no_index(lock: Path) -> None:
    text = (ROOT / lock).read_text()
    pins = re.findall(r"^([a-z0-9][a-z0-9._-]*(?:\[[a-z0-9,._-]+\])?)\s*(.*)$", text, re.MULTILINE)
    assert pins, f"{lock} is empty"
    assert [name for name, rest in pins if not rest.startswith("==")] == []
    for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert re.findall(r"https?://|--(?:extra-)?index-url|--find-links", text) == []
