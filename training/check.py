"""A model's contract suite: what a Job does, on few rows and in seconds.

`python -m training.check <folder> <name>` prints each check as a line of JSON on standard output; what the model's own
code prints goes to standard error. It ends with 1 when a check has failed.
"""

import inspect
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from training import data, export, pipeline
from training.author import FUNCTIONS, Author, Rows, Run, no_load, read_author
from training.document import Model, read_model
from training.errors import TrainingError
from training.frameworks import Adapter, adapter
from training.hooks import FILE as SERVE
from training.hooks import HookError

# So many rows to train on and to hold out; beside them the first ones of each class, category and slice.
ROWS = 500
# Whoever splits the rows once more needs several of each.
_OF_EACH = 3


@dataclass(frozen=True)
class Check:
    """One check: what was looked at, whether it passed, and the value that was seen, or why it failed.

    `places` are lines of the model's own code, `file:line`, from the outermost call to where it failed.
    """

    check: str
    passed: bool
    value: str
    places: Sequence[str] = ()


def suite(folder: Path, shown: str, find: Callable[[str], Adapter] = adapter) -> Iterator[Check]:
    """Yield the checks of a model's folder in their order, up to the first that fails.

    `folder` has `model.json` and `train.py`, as the model's image has them; `shown` is what messages call it; `find`
    returns a framework's adapter.
    """
    with tempfile.TemporaryDirectory(prefix="stellwerk-") as scratch:
        bench = _Bench(folder, find, Path(scratch))
        for name, step in bench.steps().items():
            try:
                value = step()
            # Whatever a model's own code raises is its author's to read; it may try to end the process, too.
            except (Exception, SystemExit) as error:
                failed = "hooks" if isinstance(error, HookError) else name
                yield Check(failed, False, _reason(error), bench.places(error, name, shown))
                return
            yield Check(name, True, value)


class _Bench:
    """What the checks of one model hand on from one to the next."""

    def __init__(self, folder: Path, find: Callable[[str], Adapter], scratch: Path) -> None:
        self.folder, self.find, self.scratch = folder.resolve(), find, scratch
        self.author: Author | None = None

    def steps(self) -> dict[str, Callable[[], str]]:
        """Return the checks by name, in their order."""
        hooks = {"hooks": self._hooks} if (self.folder / SERVE).is_file() else {}
        return {
            "code": self._code,
            "data": self._data,
            "framework": self._framework,
            "fit": self._fit,
            "export": self._export,
            "interface": self._interface,
            "parity": self._parity,
            **hooks,
            "rows": self._rows,
            "gates": self._gates,
            "determinism": self._determinism,
        }

    def _code(self) -> str:
        self.model = read_model(self.folder)
        self.author = self.own = read_author(self.folder)
        self.own.hooks.require_declared(self.model)
        named = [name for name in FUNCTIONS if getattr(self.own, name) not in (None, no_load)]
        return ", ".join((*named, *(name for name, hook in vars(self.own.hooks).items() if inspect.isfunction(hook))))

    def _data(self) -> str:
        whole = data.load(self.model, self.own)
        self.few = replace(whole, train=_few(self.model, whole.train), held_out=_few(self.model, whole.held_out))
        return "; ".join(
            [f"{len(whole.train)} rows to train on, {len(whole.held_out)} held out, {whole.digest}", *whole.notes]
        )

    def _framework(self) -> str:
        self.adapter = self.find(self.model.framework)
        return self.model.framework

    def _fit(self) -> str:
        started = time.monotonic()
        self.parameters = _least(self.model)
        self.fitted = self._fitted()
        given = ", ".join(f"{name} {value:g}" for name, value in self.parameters.items())
        return f"{len(self.few.train)} rows, {given or 'no parameters'}: {time.monotonic() - started:.1f} s"

    def _fitted(self) -> Any:
        self.adapter.prepare("cpu", int(self.parameters.get("seed", 0)))
        return self.own.fit(self.few.train, self.parameters, Run("cpu", lambda metric, value, step: None))

    def _export(self) -> str:
        place = self._place("first")
        self.asked = pipeline.export_and_ask(self.model, self.own, self.adapter, self.fitted, self.few, place)
        self.exported = self.asked.files
        (digest, *_), beside = self.exported.digests.values(), self.exported.beside
        return f"{self.exported.path.stat().st_size} bytes, {digest}" + "".join(
            f"; beside it {name}" for name in beside
        )

    def _place(self, name: str) -> Path:
        folder = self.scratch / name
        folder.mkdir()
        return folder

    def _interface(self) -> str:
        if self.own.hooks.predict:
            return "not looked at: `predict` answers instead of the file"
        export.require_interface(self.exported.path, self.model.exported)
        sides = (self.model.exported.inputs, self.model.exported.outputs)
        return " to ".join(", ".join(column.name for column in side) for side in sides)

    def _parity(self) -> str:
        self.answers = pipeline.file_answers(self.model, self.own, self.exported, self.asked.decoded)
        self.agreement = export.compare(self.asked.trained, self.answers)
        return f"{self.agreement.rows} rows differ by {self.agreement.max_abs_difference:.2g} at most"

    def _hooks(self) -> str:
        self.answers = pipeline.encoded(self.model, self.own, self.exported, self.answers)
        names = " and ".join(name for name, function in vars(self.own.hooks).items() if function)
        return f"{names}: {len(self.few.held_out)} rows, as the document says"

    def _rows(self) -> str:
        """Ask for one row alone: requests are small, and whoever asks beside must not matter."""
        first = {name: values[:1] for name, values in self.few.held_out.inputs.items()}
        decoded = pipeline.decode(self.model, self.own, first, self.exported.path.parent)
        given = pipeline.file_answers(self.model, self.own, self.exported, decoded)
        alone = pipeline.encoded(self.model, self.own, self.exported, given)
        try:
            export.compare({name: values[:1] for name, values in self.answers.items()}, alone)
        except TrainingError as error:
            raise TrainingError(f"a row is answered otherwise alone than among others: {error}") from error
        return "a row is answered alone as among others"

    def _gates(self) -> str:
        measured = pipeline.measure(self.model, self.own, self.answers, self.few.held_out, self.agreement)
        unknown = sorted({gate.metric for gate in measured.gates} - measured.metrics.keys())
        if unknown:
            raise TrainingError(f"gates name {', '.join(unknown)}; metrics are {', '.join(sorted(measured.metrics))}")
        return "; ".join(map(str, measured.gates)) + " (not judged: so few rows say nothing)"

    def _determinism(self) -> str:
        fitted, place = self._fitted(), self._place("second")
        again = pipeline.export_fitted(self.model, self.own, self.adapter, fitted, self.few.train, place)
        first, second = self.exported.digests, again.digests
        different = [name for name in sorted({*first, *second}) if first.get(name) != second.get(name)]
        if different:
            given = " and ".join(digests.get(different[0], "no file") for digests in (first, second))
            raise TrainingError(
                f"two fits with the same seed gave {given} of {different[0]}; something random is not seeded, or the "
                "order of something is open"
            )
        return "two fits, one digest"

    def places(self, error: BaseException, name: str, shown: str) -> list[str]:
        """Return the lines of the model's own code on the way to an error; else where the function stands."""
        if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(self.folder):
            return [f"{shown}/{Path(error.filename).relative_to(self.folder)}:{error.lineno}"]
        failed = error.__cause__ if isinstance(error, HookError) and error.__cause__ else error
        frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(failed.__traceback__)]
        own = [(file, line) for file, line in frames if file.is_relative_to(self.folder)]
        if not own and self.author and name != "framework":
            function: Callable[..., Any] = self.author.load if name == "data" else self.author.fit
            if isinstance(error, HookError):
                function = error.function
            if inspect.isfunction(function) and Path(inspect.getfile(function)).is_relative_to(self.folder):
                own = [(Path(inspect.getfile(function)), inspect.getsourcelines(function)[1])]
        return [f"{shown}/{file.relative_to(self.folder)}:{line}" for file, line in own]


def _least(model: Model) -> dict[str, int | float]:
    """Return the least of each whole number that has a limit below, the default of every other parameter."""
    whole = [item for item in model.parameters if item.kind is int]
    return model.defaults | {item.name: ceil(item.minimum) for item in whole if item.minimum is not None}


def _few(model: Model, rows: Rows) -> Rows:
    """Return some rows from all over, in their order, with each class, category and slice that is among all of them."""
    chosen = [np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(np.int64)]
    kinds = [rows.inputs[column.name] for column in model.inputs if column.categories and not column.shape]
    kinds += [rows.column(name) for name in model.slices]
    if model.target.classes or model.target.categories:
        kinds.append(rows.target)
    for values in kinds:
        chosen += [np.flatnonzero(values == kind)[:_OF_EACH] for kind in set(values.tolist())]
    return rows.of(np.unique(np.concatenate(chosen)))


def _reason(error: BaseException) -> str:
    text = str(error)
    return text if isinstance(error, TrainingError) and text else f"{type(error).__name__}: {text}".rstrip(": ")


def report(checks: Iterator[Check], stream: TextIO) -> int:
    """Write each check as it is done, and null behind the last one; return 1 when one has failed, else 0."""
    failed = False
    for check in checks:
        stream.write(json.dumps(asdict(check)) + "\n")
        stream.flush()
        failed |= not check.passed
    # A process that a model's code has ended passes for none that is done.
    stream.write("null\n")
    return int(failed)


def main(arguments: Sequence[str], find: Callable[[str], Adapter] = adapter) -> int:
    """Check the model of a folder; return the exit code."""
    folder, shown = arguments
    # What the model's code or a library prints, in whatever language, must not stand between the lines.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stream:
        os.dup2(2, 1)
        return report(suite(Path(folder), shown, find), stream)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
