"""A cluster's answers as a file has them: by path, with its clock and the rights that it denies."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from delivery.clients.cluster_api import Right

FOLDER = Path(__file__).parent / "targets"


class RecordedCluster:
    """Answers from `tests/support/targets`."""

    def __init__(self, name: str) -> None:
        given = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
        self.answers: dict[str, Any] = given["answers"]
        self.time = datetime.fromisoformat(given["now"])
        self.refused = set(given["denied"])

    def read(self, path: str) -> dict[str, Any] | None:
        """Return the answer; a path that the file lacks is one that the cluster lacks."""
        return self.answers.get(path)

    def denied(self, rights: Sequence[Right]) -> list[Right]:
        return [right for right in rights if str(right) in self.refused]

    def now(self) -> datetime:
        return self.time
