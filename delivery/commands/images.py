"""The command about platform images: images."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from delivery.terminal import Json, answer, environment_names, print_json, session


def images(
    context: typer.Context,
    environment: Annotated[
        str | None, typer.Argument(help="Default: all environments.", autocompletion=environment_names)
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="HOST/PATH", help="Print a script that copies them there, and the values that name them by digest."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the platform images: what pods name, and where the public has it."""
    from delivery.operations.images import listed, mirror_script

    work = session(context)
    listing = listed(work.project, [environment] if environment else work.project.environments)
    if mirror:
        typer.echo(mirror_script(listing, mirror), nl=False)
    elif json:
        print_json([asdict(image) for image in listing])
    else:
        table = Table(box=None, header_style="dim")
        for title in ("image", "reference", "public", "environments"):
            # A reference is to be copied: it is never cut.
            table.add_column(title, overflow="fold")
        for image in listing:
            public = image.public or "published nowhere"
            table.add_row(image.name, image.reference, public, ", ".join(image.environments))
        answer.print(table)
