"""After an update was killed: the state is made to say what is in the cluster, before anything else is done."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from rich.console import Console

from delivery.clients.engine import Engine
from delivery.clients.kubectl import Kubectl
from delivery.clients.owned import Key, keys, touched
from delivery.clients.snapshots import Snapshots
from delivery.errors import DeliveryError
from delivery.session import Session

# Is in the state alone, never in the cluster: the next update finds that it has to go, and applies the whole object.
_MARK = "stellwerk.dev/apply-again"
# In whole seconds, and by another clock than the lock's.
_CLOCK_SECONDS = 5


def wait(session: Session, environment: str, console: Console) -> None:
    """Wait until nobody else changes the environment, and settle what a killed update has left.

    Raise DeliveryError when somebody on another machine does not end, or when the cluster cannot be read.
    """
    session.backend.wait(environment, console)
    if session.engine.locks(environment).interrupted:
        settle(session.engine, session.kubectl(environment), environment, console)


def settle(engine: Engine, kubectl: Kubectl, environment: str, console: Console) -> None:
    """Read all of the stack's objects again, and have the next update apply those that the killed one has changed.

    Reading is not enough: the provider compares what the state says an object has, so that a key or a list's element
    which the killed update has added, and which the program does not have, would stay for ever. Who has changed an
    object, and when, stands in its managed fields.
    """
    locks = engine.locks(environment)
    interruption = locks.interrupted
    if interruption is None:
        return
    text = f"the last update of {environment} was killed ({interruption}): reading the cluster"
    console.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)
    kubectl.require()
    if not engine.refresh(environment, (), killed=str(interruption)):
        raise DeliveryError(f"the refresh of {environment} failed, see above; nothing was changed")
    changed = touched(kubectl, engine.project, environment, interruption.since - _CLOCK_SECONDS)
    snapshots = Snapshots(engine, environment)
    state = snapshots.current()
    if mark(state["deployment"], changed):
        snapshots.put(state)
    locks.settle()


def mark(deployment: Mapping[str, Any], changed: Collection[Key]) -> int:
    """Mark these objects in a state, so that the next update applies them; return how many there were."""
    marked = 0
    for resource in deployment.get("resources") or []:
        if keys(resource["type"], resource.get("id", "")) & set(changed):
            parts = list(_metadata(resource))
            for metadata in parts:
                metadata["annotations"] = {**(metadata.get("annotations") or {}), _MARK: "true"}
            marked += bool(parts)
    return marked


def _metadata(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield an object's metadata: as declared, as it was read, and as the provider keeps what was declared."""
    outputs = resource.get("outputs") or {}
    for part in (resource.get("inputs"), outputs, outputs.get("__inputs")):
        metadata = part.get("metadata") if isinstance(part, dict) else None
        # What is secret as a whole is encrypted.
        if isinstance(metadata, dict) and "ciphertext" not in metadata and "ciphertext" not in _annotations(metadata):
            yield metadata


def _annotations(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    annotations: Mapping[str, Any] = metadata.get("annotations") or {}
    return annotations
