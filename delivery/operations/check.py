"""`stellwerk model check`: the contract suite of a model, in a process that has its framework."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from delivery.clients.frameworks import Interpreter
from delivery.errors import DeliveryError, not_runnable
from delivery.session import Session
from infra.contract.data import is_remote
from infra.contract.model import Framework, Model, Models
from infra.contract.problems import ConfigError
from infra.services.training import staged


@dataclass(frozen=True)
class Check:
    """A check with its result: the value that was seen, or why it failed and at which lines of the model's code."""

    check: str
    passed: bool
    value: str
    places: Sequence[str] = ()


def checks(session: Session, model: str, confirmed: Callable[[Interpreter], bool], console: Console) -> Iterator[Check]:
    """Yield the checks of a model as they are done, up to the first that fails.

    `confirmed` says whether an environment with the framework may be made. Raise ConfigError when there is no such
    model, DeliveryError when that environment cannot be made, or the suite does not come to its end.
    """
    models = session.project.models
    try:
        document = models.load(model)
    except ConfigError as error:
        if model not in models.names():
            raise
        yield Check("document", False, str(error))
        return
    folder = models.folder / model
    for source in ("requirements.in", "requirements-serve.in"):
        if (folder / source).is_file() and not (folder / source).with_suffix(".txt").is_file():
            yield Check("document", False, f"{models.name}/{model}/{source}: it has no lock; run `make lock`")
            return
    yield Check("document", True, f"{document.framework}, {document.task}")
    if document.framework is Framework.NONE:
        yield from _of_file(models, model, document)
        return
    interpreter = session.interpreter(model)
    command = _command(interpreter, confirmed, console)
    with tempfile.TemporaryDirectory(prefix="stellwerk-") as temporary:
        place = staged(models, model, Path(temporary, model))
        try:
            _fetch(session, document, place)
        except DeliveryError as error:
            yield Check("data", False, str(error))
            return
        yield from _run([*command, str(place), f"{models.name}/{model}"], interpreter, temporary)


def _of_file(models: Models, model: str, document: Model) -> Iterator[Check]:
    """Yield the checks of a model that is an existing file."""
    from delivery.operations import existing

    waiting = ["interface", "examples"]
    try:
        for name, value in existing.checks(models, model, document):
            waiting.remove(name)
            yield Check(name, True, value)
    except DeliveryError as error:
        yield Check(waiting[0], False, str(error))


def _fetch(session: Session, model: Model, place: Path) -> None:
    """Put data that the document names in a store beside the model's code, as a file of its folder."""
    if model.data.source is None or not is_remote(model.data.source):
        return
    # boto3 takes long to import.
    from delivery.operations import data

    name = data.fetch(session, model, place)
    file = place / "model.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["data"]["source"] = name
    file.write_text(json.dumps(document), encoding="utf-8")


def _command(interpreter: Interpreter, confirmed: Callable[[Interpreter], bool], console: Console) -> list[str]:
    """Return the command of the suite; without the framework it is this interpreter's, and goes as far as that."""
    if interpreter.python is None and confirmed(interpreter):
        interpreter.make(console)
    if interpreter.python is None:
        text = (
            f"{interpreter.framework} is not installed here as the locks say ({', '.join(interpreter.lacking)}); the "
            f"same command with --yes makes an environment that has it, in {interpreter.environment.parent}"
        )
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    return [str(interpreter.python or sys.executable), "-m", interpreter.suite]


def _run(command: Sequence[str], interpreter: Interpreter, temporary: str) -> Iterator[Check]:
    """Yield what the suite prints; raise DeliveryError when it ends before its last check."""
    # What it leaves when the model's code ends it goes with the folder.
    variables = {**interpreter.variables, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": temporary}
    done = False
    try:
        process = subprocess.Popen(
            command, cwd=interpreter.root, env=variables, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
    except OSError as error:
        raise not_runnable(command[0], error) from None
    with process:
        for line in process.stdout or ():
            check = json.loads(line)
            done = check is None
            if not done:
                yield Check(**check)
    if not done:
        raise DeliveryError(
            f"the checks ended with {process.returncode} before their last one, see above; what the model's code "
            "does to its process must not end it"
        )
