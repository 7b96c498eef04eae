"""The commands about feedback on releases: add, list, answer."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from delivery.terminal import Json, Model, answer, environment_names, print_json, session

if TYPE_CHECKING:
    from delivery.clients.forges.forge import Forge
    from delivery.session import Session
    from infra.contract.feedback import Feedback

# Those of the document, whose type takes long to import.
Kinds = Literal["error", "change", "prediction"]

feedback_app = typer.Typer(help="What is said of a release, until a later one answers it.", no_args_is_help=True)


def _forge(work: "Session") -> "Forge":
    # The forges' libraries take long to import.
    from delivery.clients.forges import forge

    return forge(work.project.root, work.project.forge, work.variables)


@feedback_app.command()
def add(
    context: typer.Context,
    model: Model,
    kind: Annotated[Kinds, typer.Option(help="An error, a change request, or a wrong prediction.")],
    title: Annotated[str, typer.Option(help="What is to be said, in a line.")],
    release: Annotated[str | None, typer.Option(help="The release; default: what --env serves.")] = None,
    environment: Annotated[
        str | None, typer.Option("--env", help="Where it was seen.", autocompletion=environment_names)
    ] = None,
    prediction: Annotated[str | None, typer.Option(metavar="ID", help="The request id of a prediction.")] = None,
    requirement: Annotated[str | None, typer.Option(metavar="KEY", help="The requirement that it is about.")] = None,
    issue: Annotated[bool, typer.Option("--issue", help="Open an issue of the forge, too.")] = False,
) -> None:
    """Record an error, a change request or a wrong prediction on the release it is about: a file to be committed."""
    from delivery.operations import feedback as operation
    from infra.contract.feedback import Kind

    work = session(context)
    said = operation.Said(Kind(kind), title, release, environment, prediction, requirement)
    made = operation.add(work, model, said, partial(_forge, work) if issue else None)
    answer.print(f"{made.metadata.id}: commit {_file(work, made)}", soft_wrap=True)
    if made.issue:
        answer.print(made.issue, soft_wrap=True)


@feedback_app.command("list")
def overview(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="Default: all models.")] = None,
    every: Annotated[bool, typer.Option("--all", help="What is answered, too.")] = False,
    json: Json = False,
) -> None:
    """Show what no release answers yet."""
    from delivery.operations import feedback as operation

    project = session(context).project
    models = [model] if model else project.feedback.models()
    known = [each for name in models for each in project.feedback.of(name) if every or each.answered_by is None]
    if json:
        print_json([_values(each) for each in known])
        return
    for each in known:
        answered = f", answered by {each.answered_by}" if each.answered_by else ""
        answer.print(f"{each.metadata.model}: {operation.noted(each)}{answered}", soft_wrap=True, markup=False)
    if not known:
        answer.print("none")


@feedback_app.command("answer")
def answered(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(metavar="ID", help="The feedback.")],
    release: Annotated[str, typer.Option(help="The release that answers it.")],
) -> None:
    """Note which release answers feedback, and close its issue; the file is to be committed."""
    from delivery.operations import feedback as operation

    work = session(context)
    made = operation.answer(work, identity, release, partial(_forge, work))
    answer.print(f"{identity}: answered by {release}; commit {_file(work, made)}", soft_wrap=True)


def _file(work: "Session", feedback: "Feedback") -> str:
    return work.project.feedback.file_name(feedback.metadata.model, feedback.metadata.id)


def _values(feedback: "Feedback") -> dict[str, Any]:
    values: dict[str, Any] = feedback.model_dump(mode="json", by_alias=True, exclude={"api_version", "kind"})
    return values
