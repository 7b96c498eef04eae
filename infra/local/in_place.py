"""The build hook behind `uv pip install --editable .`: a checkout is installed in place, and in no other way."""

from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

REFUSAL = (
    "Stellwerk is not offered as a wheel: a checkout is the team's own Pulumi project, with its models and stacks. "
    "It is installed in place: clone the repository and run `make setup` in it (docs/upgrades.md)."
)


class InPlace(BuildHookInterface[BuilderConfig]):
    """Refuses every build but that of an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Abort a build of anything that would be a copy of the checkout."""
        if version != "editable":
            self.app.abort(REFUSAL)
