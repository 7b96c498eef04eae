"""Options that the children of all components share."""

from collections.abc import Sequence

import pulumi

# A failure is reported within minutes instead of the engine's ten.
TIMEOUTS = pulumi.CustomTimeouts(create="5m", update="5m", delete="3m")


def child(parent: pulumi.Resource, depends_on: Sequence[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
    """Return the options of a child resource."""
    return pulumi.ResourceOptions(parent=parent, depends_on=depends_on, custom_timeouts=TIMEOUTS)
