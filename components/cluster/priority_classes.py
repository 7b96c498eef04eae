"""Which pods go before which."""

from collections.abc import Mapping
from typing import TypedDict

import pulumi

from components.kit.kubernetes import meta, scheduling
from components.kit.options import child


class PriorityClassesArgs(TypedDict):
    """Arguments of PriorityClasses."""

    values: Mapping[str, int]
    """Priorities by name of the class: pods of a higher one are placed first, and take the room of others."""
    patient: Mapping[str, int]
    """The same for pods that wait for room and take it from nobody."""


class PriorityClasses(pulumi.ComponentResource):
    """Priority classes, of which a cluster has one of each name; no pod has one by default."""

    names: Mapping[str, pulumi.Output[str]]
    """Names of the classes by their names, known once they exist."""

    def __init__(self, name: str, args: PriorityClassesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:PriorityClasses", name, None, opts)
        given = [(args["values"], None), (args["patient"], "Never")]
        self.names = {
            title: self._declare(f"{name}-{title}", title, value, preemption)
            for classes, preemption in given
            for title, value in classes.items()
        }
        self.register_outputs({"names": self.names})

    def _declare(self, name: str, title: str, value: int, preemption: str | None) -> pulumi.Output[str]:
        # The API server changes neither in place, and there is one of a name. Pods keep the number they began with.
        opts = child(self)
        opts.replace_on_changes, opts.delete_before_replace = ["value", "preemptionPolicy"], True
        made = scheduling.v1.PriorityClass(
            name,
            metadata=meta.v1.ObjectMetaArgs(name=title),
            value=value,
            global_default=False,
            preemption_policy=preemption,
            opts=opts,
        )
        known: pulumi.Output[str] = made.metadata.name
        return known
