"""`stellwerk orphans`: what carries a stack's labels, and neither its state nor its program knows of."""

from collections.abc import Callable, Sequence

from rich.console import Console

from delivery.clients.backend import changed
from delivery.clients.owned import Owned, delete, owned, unknown
from delivery.errors import DeliveryError
from delivery.session import Session


def orphans(session: Session, environment: str) -> list[Owned]:
    """Return the objects of the environment that an update has made which was killed, and that no other one takes over.

    What the program declares is none: the next update takes it over. Nothing is changed. Raise DeliveryError when
    the cluster does not answer, when there is no such stack, or when the program cannot be previewed.
    """
    if environment not in session.engine.stacks():
        raise DeliveryError(f"{environment}: there is no such stack yet; run `stellwerk init {environment}`")
    objects = owned(session.kubectl(environment), session.engine.project, environment)
    if not objects:
        return []
    session.project.reload(environment)
    return unknown(objects, session.engine.preview(environment, session.project.text(environment), shown=False))


def remove(
    session: Session, environment: str, shown: Sequence[Owned], confirmed: Callable[[], bool], console: Console
) -> None:
    """Delete the orphans that were shown.

    Raise DeliveryError with nothing changed when the answer is no, when somebody changes the environment, or when
    the orphans are not those that were shown.
    """
    backend = session.backend
    backend.require_free(environment, console)
    if not confirmed():
        raise DeliveryError("nothing was changed")
    with backend.locked(environment, console):
        backend.require_free(environment, console)
        if orphans(session, environment) != list(shown):
            raise changed(environment)
        delete(session.kubectl(environment), shown)
    console.print(f"{environment}: {len(shown)} removed", highlight=False)
