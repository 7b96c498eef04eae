"""Shares of accelerators as values say them: whole GPUs, or an instance of one (MIG)."""

import re
from typing import Annotated

from pydantic import Field, PlainValidator, WithJsonSchema

_MIG = "mig-"
# As the device plugin calls it: compute slices and memory, `.me` with the media engines.
PROFILE = r"[1-7]g\.[1-9][0-9]{0,2}gb(\.me)?"
_SHARE = re.compile(rf"{_MIG}{PROFILE}")
GPU_RULE = (
    "whole GPUs or shares of one, 0 to 16, or one instance of a GPU, such as mig-1g.10gb; a pool with GPUs gives one "
    "where nothing is said"
)


def _share(value: object) -> int | str:
    """Return the value; raise ValueError where it is no share."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 16:
        return value
    if isinstance(value, str) and _SHARE.fullmatch(value):
        return value
    raise ValueError(GPU_RULE)


Gpu = Annotated[
    int | str,
    # One error, not one for each of the types.
    PlainValidator(_share),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 0, "maximum": 16, "pattern": f"^{_SHARE.pattern}$"}),
    Field(description=GPU_RULE),
]


def profile(share: int | str) -> str | None:
    """Return the MIG profile of a share as the device plugin calls it, None of whole GPUs."""
    return share.removeprefix(_MIG) if isinstance(share, str) else None


def mig_share(profile: str) -> str:
    """Return the share that is one instance of a profile: `mig-1g.10gb.me` of `1g.10gb+me`."""
    return _MIG + profile.replace("+", ".")
