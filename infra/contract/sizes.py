"""How large an environment is: what its services and models ask for where its values say nothing of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Size(StrEnum):
    """A size of an environment."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@dataclass(frozen=True)
class Ask:
    """What pods of one kind ask for: how many there are, CPU cores as text, memory in bytes with a binary unit."""

    replicas: int
    cpu: str
    memory: str


@dataclass(frozen=True)
class Defaults:
    """What is asked for by whom; of the tracking server and its database there is one pod each in any size."""

    model: Ask
    gateway: Ask
    tracking: Ask
    tracking_database: Ask
    controller: Ask


# What a model has more of where it computes on a GPU: CUDA takes host memory, too.
MEMORY_ON_GPU = "1Gi"

# Small: one machine, where most models wait most of the time.
DEFAULTS: Mapping[Size, Defaults] = {
    Size.SMALL: Defaults(
        model=Ask(1, "50m", "512Mi"),
        gateway=Ask(2, "25m", "256Mi"),
        tracking=Ask(1, "100m", "1536Mi"),
        tracking_database=Ask(1, "50m", "512Mi"),
        controller=Ask(2, "25m", "192Mi"),
    ),
    Size.MEDIUM: Defaults(
        model=Ask(2, "250m", "1Gi"),
        gateway=Ask(2, "250m", "512Mi"),
        tracking=Ask(1, "250m", "2Gi"),
        tracking_database=Ask(1, "250m", "1Gi"),
        controller=Ask(2, "50m", "256Mi"),
    ),
    Size.LARGE: Defaults(
        model=Ask(3, "500m", "2Gi"),
        gateway=Ask(3, "1", "1Gi"),
        tracking=Ask(1, "1", "4Gi"),
        tracking_database=Ask(1, "1", "4Gi"),
        controller=Ask(2, "100m", "512Mi"),
    ),
}
