"""Compile every hash-pinned lock again: `make lock`."""

import subprocess
import sys
from pathlib import Path

from infra.local.toolchain.errors import ToolchainError

ROOT = Path(__file__).parents[2]
_OPTIONS = (
    "--universal", "--python-version", "3.11", "--generate-hashes",
    "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--quiet",
    # PyTorch does not need it on a CPU, and it weighs a gigabyte.
    "--no-emit-package", "triton",
    # XGBoost needs it on several GPUs at once only, and it weighs half a gigabyte.
    "--no-emit-package", "nvidia-nccl-cu12",
)  # fmt: skip


def locks() -> dict[Path, tuple[str, ...]]:
    """Return each lock of the tree and what it is compiled from (paths relative to the root)."""
    sources: dict[Path, tuple[str, ...]] = {Path("requirements/dev.txt"): ("--group", "dev", "pyproject.toml")}
    folders = ("*", "training/frameworks/*", "components/*/images/*", "models/*")
    # In this order: a framework's packages fit those of training, a model's those of its framework or the server's.
    patterns = [
        *(f"{folder}/requirements.in" for folder in folders),
        "models/*/requirements-serve.in",
        "serving/requirements-*.in",
    ]
    for source in (file for pattern in patterns for file in sorted(ROOT.glob(pattern))):
        relative = source.relative_to(ROOT)
        sources[relative.with_suffix(".txt")] = (str(relative),)
    return sources


def compile_lock(target: Path, source: tuple[str, ...], uv: Path) -> None:
    """Compile one lock with `uv`; raise ToolchainError with its last lines when it fails."""
    command: list[str | Path] = [uv, "pip", "compile", *_OPTIONS, *source, "-o", str(target)]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ToolchainError(f"{uv}: {error.strerror}; run `make setup`") from error
    if done.returncode != 0:
        tail = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise ToolchainError(
            f"{target} was not compiled, uv ended with {done.returncode}:\n{tail}\n"
            f"Correct the pins in {source[-1]}, or make the package index reachable (UV_DEFAULT_INDEX, SSL_CERT_FILE)"
        )


def main() -> int:
    """Compile every lock; return the exit code."""
    # The lock pins uv too.
    uv = Path(sys.executable).with_name("uv")
    try:
        for target, source in locks().items():
            print(f"{target} <- {source[-1]}", flush=True)
            compile_lock(target, source, uv)
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
