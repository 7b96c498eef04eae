"""What a program registers, as objects that a cluster takes."""

from collections.abc import Iterator
from typing import Any

from components.package import whole
from tests.program.harness import SIGNATURE, Recording


def objects(recording: Recording) -> Iterator[dict[str, Any]]:
    """Yield the Kubernetes objects in the order of their registration, with their secrets in clear."""
    for key, inputs in recording.inputs.items():
        if key.startswith("kubernetes:"):
            yield whole(_clear(inputs))


def _clear(value: Any) -> Any:
    if isinstance(value, dict):
        if SIGNATURE in value:
            return _clear(value.get("value"))
        return {key: _clear(each) for key, each in value.items()}
    return [_clear(each) for each in value] if isinstance(value, list) else value
