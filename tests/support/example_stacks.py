"""The stack files of docs/examples, each whole in itself, as those of a checkout."""

import shutil
from pathlib import Path

from infra.values import ROOT

EXAMPLES = ROOT / "docs" / "examples"
CLUSTER = "cloud"
NAMES = sorted(file.name.split(".")[1] for file in EXAMPLES.glob("Pulumi.*.yaml") if CLUSTER not in file.name)


def write_examples(root: Path) -> Path:
    """Make a folder a checkout with the examples as its stack files; return it."""
    (root / "stacks").mkdir()
    for name in (*NAMES, CLUSTER):
        text = (EXAMPLES / f"Pulumi.{name}.yaml").read_text()
        # Each is for a team of its own: none of them takes releases from another.
        origin = "" if name == CLUSTER else "config:\n  stellwerk:releasesFrom: null\n"
        (root / "stacks" / f"Pulumi.{name}.yaml").write_text(text.replace("config:\n", origin or "config:\n", 1))
    (root / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "dev.txt", root / "requirements")
    return root
