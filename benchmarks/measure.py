"""Times commands, collects the samples side by side, and writes them with the facts of the machine."""

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
OURS, BEFORE = "stellwerk", "stellwerk before"
SECONDS, CPU_SECONDS = "seconds", "CPU seconds"
Sample = Mapping[str, float]
"""Figures of one run of one side by their names; of names that end in `seconds` or `per second` ratios are taken."""


@dataclass
class Series:
    """One comparison: the samples of our side, then those of its peers, taken in turn."""

    what: str
    objects: int | None = None
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, side: str, sample: Sample) -> None:
        """Keep a sample and show it; the first side ever added is ours."""
        print(
            f"{self.what}, {side}: {', '.join(f'{value:.1f} {name}' for name, value in sample.items())}",
            file=sys.stderr,
        )
        self.samples.setdefault(side, []).append({name: round(value, 3) for name, value in sample.items()})

    def as_json(self) -> dict[str, Any]:
        """Return raw samples and, per peer and time, the ratios ours : peer of the runs that were neighbours."""
        return {"what": self.what, "objects": self.objects, "samples": self.samples, "ratios": self._ratios()}

    def _ratios(self) -> dict[str, dict[str, dict[str, float]]]:
        (_, ours), *peers = self.samples.items()
        return {
            peer: {
                name: spread([mine[name] / other[name] for mine, other in zip(ours, theirs, strict=False)])
                for name in ours[0]
                if name.endswith(("seconds", "per second")) and all(other.get(name) for other in theirs)
            }
            for peer, theirs in peers
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the smallest and the largest value."""
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 3) for name, value in figures.items()}


def timed(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], fine: Sequence[int] = (0,), stdin: str = ""
) -> dict[str, float]:
    """Run a command; return its wall clock, and the CPU of it and of what it started and waited for.

    Raise BenchmarkError with the end of its output. An interrupt reaches the command once, and is waited for.
    """
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as printed:
        given.write(stdin)
        given.seek(0)
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=given,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
            raise
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in fine:
            printed.seek(0)
            tail = "\n".join(printed.read().strip().splitlines()[-40:])
            raise BenchmarkError(f"`{' '.join(command)}` ended with {process.returncode}:\n{tail}")
    return {SECONDS: seconds, CPU_SECONDS: usage.ru_utime + usage.ru_stime}


def output(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
    """Return the standard output of a command that is not timed; raises BenchmarkError with the end of its output."""
    try:
        done = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BenchmarkError(f'{command[0]}: not found; run: eval "$(stellwerk env)"') from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()
        raise BenchmarkError(f"`{' '.join(command[:4])}` ended with {done.returncode}:\n{words[-2000:]}")
    return done.stdout


def of_checkout(folder: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which Python takes the packages of this project from the checkout in `folder`."""
    return {**env, "PYTHONPATH": str(folder.resolve())}


def facts(env: Mapping[str, str], cluster: bool) -> dict[str, Any]:
    """Return date, machine and versions; no names of hosts and no folders."""
    versions = {
        "python": platform.python_version(),
        "pulumi (Python)": version("pulumi"),
        "pulumi-kubernetes (Python)": version("pulumi-kubernetes"),
    }
    if cluster:
        versions["pulumi"] = output(["pulumi", "version"], ROOT, env).strip()
        server = json.loads(output(["kubectl", "version", "--output=json"], ROOT, env))["serverVersion"]
        versions["kubernetes"] = server["gitVersion"]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": {
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": versions,
    }


def save(file: Path, known: Mapping[str, Any], series: Sequence[Series]) -> dict[str, Any]:
    """Write the result as JSON, and return it."""
    document = {**known, "series": [one.as_json() for one in series]}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return document
