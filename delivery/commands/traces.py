"""The command that follows a model's chain: trace."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from delivery.terminal import Json, Model, answer, environment_names, print_json, session

if TYPE_CHECKING:
    from delivery.operations.chain import Trace


def trace(
    context: typer.Context,
    model: Model,
    environment: Annotated[
        str | None,
        typer.Option("--env", help="What runs there now; with another option: look there alone.",
                     autocompletion=environment_names),
    ] = None,
    prediction: Annotated[str | None, typer.Option(metavar="ID", help="The request id of an answer.")] = None,
    requirement: Annotated[str | None, typer.Option(metavar="ID", help="A requirement, such as ABC-12.")] = None,
    commit: Annotated[str | None, typer.Option(metavar="REV", help="A commit, branch or tag.")] = None,
    json: Json = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write the chain as one page, with a picture.")
    ] = None,
) -> None:  # fmt: skip
    """Follow requirement, commits, data, run, evaluation, release, images, updates, pods, log lines and predictions.

    Exit code 1 when records contradict each other, or nothing is found.
    """
    from delivery.operations import trace_page, trace_view
    from delivery.operations.trace import Question
    from delivery.operations.trace import trace as follow

    given = [each for each in (prediction, requirement, commit) if each is not None]
    if len(given) > 1 or not (given or environment):
        raise typer.BadParameter("give one", param_hint="--prediction, --requirement, --commit, --env")
    made = follow(session(context), Question(model, environment, prediction, requirement, commit))
    if html is not None:
        _write(html, trace_page.page(made))
    if json:
        print_json(_document(made))
    else:
        answer.print("\n".join(trace_view.text(made)), soft_wrap=True, markup=False)
    wrong = any(chain.contradictions for chain in made.chains)
    raise typer.Exit(1 if wrong or not made.answered else 0)


def _document(made: "Trace") -> dict[str, Any]:
    """Return a trace with the state of each link."""
    document = asdict(made)
    for chain, shown in zip(made.chains, document["chains"], strict=True):
        for link, each in zip(chain.links, shown["links"], strict=True):
            each["state"] = link.state
    return document


def _write(file: Path, text: str) -> None:
    from delivery.errors import system_errors

    with system_errors("writing the page", "name another file"):
        file.write_text(text, encoding="utf-8")
