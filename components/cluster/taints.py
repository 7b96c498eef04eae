"""Taints of nodes, and who tolerates them."""

from collections.abc import Sequence
from typing import TypedDict

from components.kit.names import GPU


class TaintArgs(TypedDict):
    """A taint of a node."""

    key: str
    """Its key."""
    value: str
    """Its value; may be empty."""
    effect: str
    """NoSchedule, PreferNoSchedule or NoExecute."""


def all_taints(gpus: int, more: Sequence[TaintArgs]) -> list[TaintArgs]:
    """Return the taints of nodes: that of NVIDIA's custom where they have GPUs, and what else is said."""
    own: list[TaintArgs] = [{"key": GPU, "value": "present", "effect": "NoSchedule"}] if gpus else []
    keys = {each["key"] for each in more}
    return [*(each for each in own if each["key"] not in keys), *more]
