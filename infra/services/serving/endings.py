"""What the stack serves before an update: one that ends it says so first, whoever runs it."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra.contract.environment import Environment
from infra.contract.stacks import file_name
from infra.services.serving.section import models

# What the engine says of a state in files that it is just writing; it takes milliseconds.
_TORN, _READS, _PAUSE_SECONDS = "failed to load checkpoint", 20, 0.1


def warn(environment: Environment) -> None:
    """Warn of each model that this update stops serving; the engine shows it with the preview."""
    import pulumi

    for line in endings(_outputs().get("models") or {}, environment):
        pulumi.log.warn(line)


def endings(served: Mapping[str, str | None], environment: Environment) -> Iterator[str]:
    """Yield a line for each served model that the environment's file has no release of, or does not have at all."""
    file = file_name(environment.environment)
    for model, release in sorted(served.items()):
        if release is None:
            continue
        if model not in models(environment):
            yield (
                f"{model}: this stack serves {release}, and {file} of this checkout has no such model: the update "
                "deletes it. If another checkout has added it, take over its stack file first"
            )
        elif models(environment)[model].release is None:
            yield f"{model}: this stack serves {release}, and {file} has no release of it: the update stops serving it"


def _outputs() -> Mapping[str, Mapping[str, str | None]]:
    """Return the stack's outputs of the update before, from the engine's own state; empty before the first one."""
    import pulumi

    name = "/".join(filter(None, (pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack())))
    answer = whole(lambda: pulumi.runtime.invoke("pulumi:pulumi:readStackOutputs", {"name": name}).value)
    outputs: Mapping[str, Mapping[str, str | None]] = (answer or {}).get("outputs") or {}
    return outputs


def whole(read: Callable[[], Any]) -> Any:
    """Return what the engine reads of a state, read again while it is being written; raise what else it raises."""
    for _ in range(_READS - 1):
        try:
            return read()
        except Exception as error:
            if _TORN not in str(error):
                raise
            time.sleep(_PAUSE_SECONDS)
    return read()
