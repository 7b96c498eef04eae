"""Which pods of a cluster go before which: section `priority` of an environment."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from infra.contract.fields import ENVIRONMENT_NAME, Section

# Added to an environment's value: who serves goes before who trains, and what all depend on before both.
STEPS = {"training": 0, "serving": 100, "platform": 200}
# Kubernetes keeps what is above a billion for itself.
_HIGHEST = 1_000_000_000 - max(STEPS.values())
Value = Annotated[
    int, Field(ge=1, le=_HIGHEST, description=f"a priority, 1 to {_HIGHEST}; pods of a higher one go before others")
]
ClassName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$", description="the name of a priority class")
]
Scope = Annotated[
    str,
    Field(pattern=ENVIRONMENT_NAME.replace("22", "46"), description="an environment, with its team: vision-prod"),
]


class Priority(Section):
    """Classes that this stack makes, or names of classes that there are; by default neither, and all pods are equal."""

    value: Value | None = None
    others: Mapping[Scope, Value] = Field(
        default={}, description="values by other environments of the cluster, whose classes this stack makes, too"
    )
    training: ClassName | None = None
    serving: ClassName | None = None
    platform: ClassName | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.value is not None and any(self.existing().values()):
            raise ValueError("either `value`, by which classes are made, or names of classes that there are")
        return self

    def existing(self) -> dict[str, str | None]:
        """Return by purpose the classes that are named."""
        return {purpose: getattr(self, purpose) for purpose in STEPS}


def class_name(scope: str, purpose: str) -> str:
    """Return the name of a class, of which a cluster has one: it carries team and environment."""
    return f"{scope}-{purpose}"
