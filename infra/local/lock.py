"""Compiles every hash-pinned lock again: `make lock`."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_OPTIONS = (
    "--universal", "--python-version", "3.11", "--generate-hashes",
    "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--quiet",
    # PyTorch does not need it on a CPU, and it weighs a gigabyte.
    "--no-emit-package", "triton",
)  # fmt: skip


def locks() -> dict[Path, tuple[str, ...]]:
    """Each lock of the tree and what it is compiled from (paths relative to the root)."""
    found: dict[Path, tuple[str, ...]] = {Path("requirements/dev.txt"): ("--group", "dev", "pyproject.toml")}
    patterns = ("*/requirements.in", "training/torch/requirements.in", "components/*/images/*/requirements.in")
    for source in sorted(file for pattern in patterns for file in ROOT.glob(pattern)):
        relative = source.relative_to(ROOT)
        found[relative.with_suffix(".txt")] = (str(relative),)
    return found


def main() -> None:
    # The lock pins uv too.
    uv = Path(sys.executable).with_name("uv")
    for target, source in locks().items():
        print(f"{target} <- {source[-1]}", flush=True)
        subprocess.run([uv, "pip", "compile", *_OPTIONS, *source, "-o", str(target)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
