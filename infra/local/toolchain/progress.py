"""Live progress: one line per tool; plain lines without a terminal."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from infra.local.toolchain.manifest import Tool

# cold_seconds in the manifest were measured on this many cores.
_MEASURED_CORES = 2
# Without a terminal a long step says so often that it is at work.
_BEAT_S = 60.0


@dataclass
class _Line:
    tool: Tool
    source: str = ""
    note: str = ""
    began: float = field(default_factory=time.monotonic)


class Progress:
    """Context manager around one run over `tools`; its methods may be called from any thread."""

    def __init__(self, console: Console, tools: list[Tool], beat_s: float = _BEAT_S) -> None:
        self._console, self._beat_s = console, beat_s
        self._ended = threading.Event()
        self._waiting = {tool.name: tool for tool in tools}
        self._active: dict[str, _Line] = {}
        self._lock = threading.RLock()
        self._spent, self._expected = 0.0, 0.0
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        else:
            threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        if self._console.is_terminal:
            self._live.stop()

    def planned(self, silent: Sequence[str], builds: Sequence[Tool]) -> None:
        """Show which release servers do not answer, and how much is compiled instead."""
        if silent and builds:
            left = sum(self.estimate(tool) for tool in builds)
            self._say(
                f"no answer from {', '.join(silent)}: what has no package either is compiled from Go modules, "
                f"{len(builds)} of {len(self._waiting)} tools, about {_clock(left)}"
            )

    def start(self, tool: Tool, source: str) -> None:
        """Show that `tool` is now being got from `source`."""
        with self._lock:
            self._waiting.pop(tool.name, None)
            self._active[tool.name] = _Line(tool, source)
        if not self._console.is_terminal:
            about = f", about {_clock(self.estimate(tool))}" if tool.go and source == "Go modules" else ""
            self._say(f"{tool.name} {tool.version}: {source}{about} …")

    def note(self, name: str, text: str) -> None:
        """Show the current step of an active tool."""
        with self._lock:
            if name in self._active:
                self._active[name].note = text

    def done(self, tool: Tool, version: str, source: str, built: bool) -> None:
        """Show that `tool` is installed; `built` times feed the estimate."""
        with self._lock:
            self._waiting.pop(tool.name, None)
            line = self._active.pop(tool.name, None)
            seconds = time.monotonic() - line.began if line else 0.0
            if built:
                self._spent += seconds
                self._expected += tool.cold_seconds
        took = f" [dim]({_clock(seconds)})[/dim]" if line else ""
        self._say(f"[green]✓[/green] {tool.name} {version} [dim]{source}[/dim]{took}")

    def failed(self, tool: Tool, reason: str, following: str | None) -> None:
        """Show that one source did not work out, and which one is tried next."""
        with self._lock:
            line = self._active.pop(tool.name, None)
            self._waiting[tool.name] = tool
        about = f", about {_clock(self.estimate(tool))}" if following == "Go modules" else ""
        then = f"next: {following}{about}" if following else "no other source is left"
        self._say(f"[yellow]![/yellow] {tool.name}: {line.source if line else ''}: {reason.splitlines()[0]}; {then}")

    def estimate(self, tool: Tool) -> float:
        """Return the seconds that a build of `tool` takes here, scaled by the builds measured in this run."""
        prior = _MEASURED_CORES / max(_MEASURED_CORES, min(8, os.cpu_count() or _MEASURED_CORES))
        with self._lock:
            # The prior weighs as much as one minute of measured building.
            return tool.cold_seconds * (self._spent + 60 * prior) / (self._expected + 60)

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            with self._lock:
                now = time.monotonic()
                steps = [
                    f"{line.tool.name} ({line.note or line.source}, {_clock(now - line.began)} of about "
                    f"{_clock(max(now - line.began, self.estimate(line.tool)))})"
                    for line in self._active.values()
                ]
                left = _clock(self._left(now))
            if steps:
                self._say(f"at work: {', '.join(steps)}; about {left} left")

    def _left(self, now: float) -> float:
        active = sum(max(0.0, self.estimate(line.tool) - (now - line.began)) for line in self._active.values())
        return active + sum(self.estimate(tool) for tool in self._waiting.values())

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True)
        with self._lock:
            now = time.monotonic()
            left = self._left(now)
            for line in self._active.values():
                elapsed, total = now - line.began, self.estimate(line.tool)
                name = Text(f"  {line.tool.name} {line.tool.version}", style="bold")
                table.add_row(name, line.source, line.note, f"{_clock(elapsed)} of about {_clock(max(elapsed, total))}")
            waiting = f"  about {_clock(left)} left"
            if self._waiting:
                waiting += f"; {len(self._waiting)} waiting: {', '.join(self._waiting)}"
        return Group(table, Text(waiting, style="dim", no_wrap=True, overflow="ellipsis"))


def _clock(seconds: float) -> str:
    """Return seconds as `7 s` or `3:05 min`."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60}:{whole % 60:02d} min"
