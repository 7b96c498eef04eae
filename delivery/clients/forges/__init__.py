"""The forge of the checkout: which one it is, which repository of it, and with whose token it is asked."""

from collections.abc import Mapping
from pathlib import Path

from delivery.clients.forges.forge import Forge
from delivery.errors import DeliveryError
from infra.contract.forge import ForgeValues


def forge(root: Path, values: ForgeValues | None, environ: Mapping[str, str]) -> Forge:
    """Return the forge that the values name, or that the address of the git remote `origin` leads to.

    Raise DeliveryError where neither says which one it is, and where the environment has no token for it.
    """
    raise DeliveryError("no forge is known yet")
