"""Finished tools on disk: the store of results, the view of links, the lock."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

from infra.local.toolchain.manifest import Kind, Manifest, Tool
from infra.local.toolchain.paths import set_link

_RECORD = "built.json"


@dataclass(frozen=True)
class Installed:
    """A usable tool: `files` by name (for a folder the one entry under the tool's own name), `seconds` it took.

    `stamps` are modification times (ns) of files that this toolchain does not own.
    """

    tool: str
    version: str
    source: str
    files: dict[str, str]
    seconds: float = 0.0
    stamps: dict[str, int] = field(default_factory=dict)

    def intact(self) -> bool:
        """Return whether every file exists and foreign ones are unchanged."""
        for path in self.files.values():
            try:
                stamp = os.stat(path).st_mtime_ns
            except OSError:
                return False
            if self.stamps and self.stamps.get(path) != stamp:
                return False
        return True


class Store:
    """`root`/<tool>-<hash of everything it is made from>; entries appear whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @staticmethod
    def key(tool: Tool, source: str, *made_from: str) -> str:
        """Return the name of an entry, from the manifest's section on this source and what else went into it."""
        section = getattr(tool, source).model_dump(mode="json")
        words = [tool.name, tool.version, tool.kind, tool.outputs, source, section, *made_from]
        return f"{tool.name}-{sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:20]}"

    def find(self, key: str) -> Installed | None:
        """Return the finished entry, None when the store has none."""
        try:
            entry = Installed(**json.loads((self._root / key / _RECORD).read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return entry if entry.intact() else None

    def place(self, key: str, content: Path, tool: Tool, version: str, source: str, seconds: float) -> Installed:
        """Move the folder `content` to its place, atomically, and return the entry."""
        target = self._root / key
        names = tool.outputs
        files = {name: str(target / name) for name in names} if names else {tool.name: str(target / "content")}
        entry = Installed(tool.name, version, source, files, round(seconds, 1))
        staged = content
        if not names:
            staged = content.with_name(f"{content.name}.entry")
            staged.mkdir()
            content.rename(staged / "content")
        (staged / _RECORD).write_text(json.dumps(asdict(entry), indent=1) + "\n")
        self._root.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        staged.rename(target)
        return entry


class View:
    """Link to the tools of one manifest, and the record of where each came from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin, self.cni = root / "bin", root / "cni"
        self._record = root / "toolchain.json"

    def read(self) -> dict[str, Installed]:
        """Return what was installed when last recorded."""
        try:
            return {name: Installed(**entry) for name, entry in json.loads(self._record.read_text()).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def add(self, manifest: Manifest, entries: dict[str, Installed]) -> None:
        """Link and records `entries`."""
        for name, entry in entries.items():
            tool = manifest.tool(name)
            for folder, link, target in self._links(tool, entry):
                set_link(folder / link, target)
        self.root.mkdir(parents=True, exist_ok=True)
        record = {name: asdict(entry) for name, entry in sorted((self.read() | entries).items())}
        staged = self._record.with_suffix(".new")
        staged.write_text(json.dumps(record, indent=1) + "\n")
        staged.rename(self._record)

    def _links(self, tool: Tool, entry: Installed) -> Iterator[tuple[Path, str, str]]:
        if tool.kind is Kind.COMPILER:
            # A second go ahead of the user's own on PATH would be a surprise.
            return
        if tool.is_folder:
            parent = "manifests" if tool.kind is Kind.MANIFESTS else "build-contexts"
            yield self.root / parent, tool.folder or tool.name, entry.files[tool.name]
            return
        for name, path in entry.files.items():
            yield (self.cni if tool.kind is Kind.CNI else self.bin), name, path


@contextmanager
def locked(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the file lock; call `waiting` with the holder's process id when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            waiting(file.read().strip() or "unknown")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
