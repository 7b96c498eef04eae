"""The commands about a model's folder: model new, list, check, remove."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from delivery.terminal import Json, Model, OtherChanges, Yes, answer, console, print_json, resumable, session

if TYPE_CHECKING:
    from delivery.clients.frameworks import Interpreter
    from delivery.operations.check import Check
    from delivery.operations.remove import Removal


def new(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Name of the model: its folder in models/.")],
    template: Annotated[str, typer.Option(help="What it starts from; a name that is not known lists them.")] = "",
) -> None:
    """Write models/<name>/ from a template: it trains, and passes its tests and its checks at once."""
    from delivery.operations import new_model

    project = session(context).project
    files = new_model.write(project.models, model, template)
    answer.print("\n".join(files), soft_wrap=True, markup=False)
    console.print(new_model.next_steps(project, model), soft_wrap=True, highlight=False, markup=False)


def overview(context: typer.Context, json: Json = False) -> None:
    """List the models: framework, task, owner, and per environment the release that its file names."""
    from delivery.operations.models import overview as list_models

    project = session(context).project
    models = list_models(project)
    if json:
        print_json({"models": models})
        return
    titles = ("model", "framework", "task", "owner", *project.environments, "trained in")
    table = Table(*(Column(title, overflow="fold") for title in titles))
    for name, model in models.items():
        places = (model["environments"][environment]["release"] or "-" for environment in project.environments)
        trained = [place for place, state in model["environments"].items() if state["trains"]]
        described = (model[key] or "-" for key in ("framework", "task", "owner"))
        table.add_row(name, *described, *places, ", ".join(trained) or "-")
    answer.print(table)


def check(context: typer.Context, model: Model, yes: Yes = False, json: Json = False) -> None:
    """Check a model on this machine in seconds: data, a tiny fit, export, interface; exit code 1 when a check fails."""
    from delivery.operations.check import checks

    def confirmed(interpreter: "Interpreter") -> bool:
        question = f"{interpreter.framework} is not installed here; install it into {interpreter.environment}?"
        return yes or (not json and typer.confirm(question, err=True))

    results = _shown(checks(session(context), model, confirmed, console), json)
    passed = all(result.passed for result in results)
    if json:
        print_json({"model": model, "passed": passed, "checks": [asdict(result) for result in results]})
    raise typer.Exit(0 if passed else 1)


def _shown(results: "Iterable[Check]", json: bool) -> "list[Check]":
    """Return the results, each printed as it comes unless it is for a machine."""
    shown = []
    for result in results:
        shown.append(result)
        if not json:
            mark = "[green]✓[/green]" if result.passed else "[red]✗[/red]"
            answer.print(f"{mark} {result.check:12}", end="")
            answer.print(result.value, soft_wrap=True, markup=False)
            for place in result.places:
                answer.print(f"    {place}", soft_wrap=True, markup=False)
    return shown


def remove(context: typer.Context, model: Model, yes: Yes = False, allow_other_changes: OtherChanges = False) -> None:
    """Take a model out of every environment, its store and the checkout: show, ask, remove; releases stay in git."""
    from delivery.operations import remove as removing

    work = session(context)
    how = removing.How(model, console, allow_other_changes)
    with resumable():
        removal = removing.plan_removal(work, how)
        if removal.is_none:
            answer.print(f"nothing of {model} is left but its releases: nothing to do", highlight=False)
            return
        answer.print("\n".join(_losses(removal, model)), soft_wrap=True, markup=False)
        removing.remove(work, how, removal, lambda: yes or typer.confirm(f"Remove {model}?", err=True))


def _losses(removal: "Removal", model: str) -> Iterator[str]:
    """Yield what goes, a line each."""
    from infra.values import file_name

    for change in removal.changes:
        if change.before != change.after:
            yield f"{file_name(change.environment)}: the entries of {model}"
        for step in change.plan.changes if change.plan else ():
            yield f"{change.environment}: {step.op} {step.type.rpartition(':')[2]} {step.name}"
        yield from (f"{change.environment}: delete Job {job}" for job in change.jobs)
        if change.objects:
            yield f"{change.environment}: delete {len(change.objects)} objects of the store that no release names"
    yield from (f"models/{model}/{file.relative_to(removal.folder)}" for file in removal.files)
