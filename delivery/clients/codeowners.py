"""CODEOWNERS: whose approval a change of a file needs, as GitHub and GitLab read the file.

GitHub has one list, in which the last match wins; GitLab has sections, in each of which it wins, with default owners.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codeowners import CodeOwners as Rules

from infra.contract.forge import ForgeKind
from infra.contract.problems import ConfigError, read_text

# In the order in which each looks; the first one that exists counts.
PLACES = {
    ForgeKind.GITHUB: (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"),
    ForgeKind.GITLAB: ("CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS"),
}
_HEADING = re.compile(r"(?P<optional>\^)?\[(?P<name>[^\]]+)\](\[\d+\])?(?P<owners>(\s+\S+)*)")
_COMMENT = re.compile(r"(^|\s)#.*")


@dataclass(frozen=True)
class Rule:
    """Whose approval is needed: that of any one of the owners. `line` is where the file says it."""

    line: int
    owners: tuple[str, ...]


@dataclass(frozen=True)
class CodeOwners:
    """One file, by its name in messages, and its text in the syntax of a kind of forge."""

    name: str
    text: str
    kind: ForgeKind

    def rules(self, path: str) -> list[Rule]:
        """Return the rules of a file, by its path from the top of the repository; none where nobody has to approve.

        Raise ConfigError where a pattern is none.
        """
        try:
            made = [_rule(section, path) for section in self._sections()]
        except ValueError as error:
            raise ConfigError(f"{self.name}: {error}; correct the line") from None
        return sorted((rule for rule in made if rule is not None), key=lambda rule: rule.line)

    def _sections(self) -> Iterator[dict[int, str]]:
        """Yield the rules of each section whose approval is needed, by line; those before the first are one, too."""
        lines: defaultdict[str, dict[int, str]] = defaultdict(dict)
        optional: set[str] = set()
        section, owners = "", ""
        for number, given in enumerate(self.text.splitlines(), 1):
            line = _COMMENT.sub("", given).strip()
            heading = _HEADING.fullmatch(line) if self.kind is ForgeKind.GITLAB else None
            if heading is not None:
                # Headings of the same name, however it is written, are one section.
                section, owners = heading["name"].strip().casefold(), heading["owners"]
                if heading["optional"]:
                    optional.add(section)
            elif line and not (self.kind is ForgeKind.GITHUB and line[0] in "![\\"):
                lines[section][number] = self._whole(line, owners)
        yield from (rules for name, rules in lines.items() if name not in optional)

    def _whole(self, line: str, owners: str) -> str:
        """Return a line of a section as one that means the same without it."""
        if self.kind is ForgeKind.GITHUB:
            return line
        pattern, *own = re.split(r"(?<!\\)\s+", line)
        negated, pattern = pattern.startswith("!"), pattern.removeprefix("!")
        if not pattern.startswith("/"):
            pattern = f"**/{pattern}" if pattern != "*" else "**"
        return f"{'!' if negated else ''}{pattern} {' '.join(own) or owners}"


def _rule(section: dict[int, str], path: str) -> Rule | None:
    excluded = [line[1:] for line in section.values() if line.startswith("!")]
    if any(Rules(line).matching_line(path)[1] is not None for line in excluded):
        return None
    # The number of a line stays what it is in the file.
    text = "\n".join(section.get(number, "") for number in range(1, max(section) + 1))
    owners, line, *_ = Rules(text).matching_line(path)
    return Rule(line, tuple(owner for _, owner in owners)) if owners and line is not None else None


def codeowners(top: Path, kind: ForgeKind) -> CodeOwners | None:
    """Return the file of a repository, as its forge finds it; None where there is none, or none is read."""
    for name in PLACES.get(kind, ()):
        if (top / name).is_file():
            return CodeOwners(name, read_text(top / name, name), kind)
    return None


def group(owner: str) -> str:
    """Return the name by which values know an owner: the last part of a team's, without `@`."""
    return owner.lstrip("@").rpartition("/")[2].casefold() if owner.startswith("@") else owner.casefold()
