"""Differences between environments that the team intends: `stacks/differences.yaml`, each with its reason."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from infra.contract.fields import EnvironmentName, Section
from infra.contract.problems import KeyPath, Problem, show, suggest
from infra.contract.reading import read

FILE = "stacks/differences.yaml"


class Intended(Section):
    """A key whose values may differ, with all below it."""

    key: str = Field(
        pattern=r"^[^.\s]+(\.[^.\s]+)*$",
        description="keys of an environment joined by '.', where * is any one: quota.cpu, models.*.replicas",
    )
    environment: EnvironmentName | None = Field(
        default=None, description="only where this environment is one of the two; any two when absent"
    )
    reason: str = Field(min_length=1, description="why environments differ in it")

    def covers(self, path: KeyPath, environments: Collection[str]) -> bool:
        """Return whether two environments may differ in the value at a path."""
        steps = self.key.split(".")
        pairs = zip(steps, map(str, path), strict=False)
        is_at = len(path) >= len(steps) and all(step in ("*", key) for step, key in pairs)
        return is_at and self.environment in (None, *environments)


class Differences(Section):
    """Which values may differ between environments, and why."""

    api_version: Literal["stellwerk.dev/v1"] = Field(description="stellwerk.dev/v1")
    kind: Literal["Differences"] = Field(description="Differences")
    intended: tuple[Intended, ...] = Field(description="a list of keys, each with the reason")

    def reason(self, path: KeyPath, environments: Collection[str]) -> str | None:
        """Return why two environments may differ in a value; None where nobody has said so."""
        return next((each.reason for each in self.intended if each.covers(path, environments)), None)


def read_differences(root: Path, keys: Collection[str], environments: Collection[str]) -> Differences:
    """Return what a checkout's file says, nothing where there is none.

    `keys` are the first keys of an environment. Raise ConfigError naming every wrong value by line.
    """
    file = root / FILE
    if not file.exists():
        return Differences.model_construct(intended=())
    document, source = read(file, FILE, Differences)
    if wrong := list(_unknown(document, keys, environments)):
        raise source.error(wrong)
    return document


def _unknown(document: Differences, keys: Collection[str], environments: Collection[str]) -> Iterator[Problem]:
    """Yield each name of nothing: such an entry would never count."""
    for index, each in enumerate(document.intended):
        first = each.key.partition(".")[0]
        for name, given, known in (("key", first, keys), ("environment", each.environment, environments)):
            if given not in (None, *known):
                action = suggest(given or "", known, "name one of these")
                yield Problem(("intended", index, name), show(given), ", ".join(sorted(known)), action)
