"""Who does, approves and hears of each step of a model's way: section `responsibilities` of an environment."""

from collections.abc import Iterator

from pydantic import Field

from infra.contract.fields import Section


class Step(Section):
    """Who has which part in a step."""

    responsible: tuple[str, ...] = Field(min_length=1, description="a list of groups that do it, at least one")
    accountable: str = Field(min_length=1, description="the one group that approves it, and answers for it")
    consulted: tuple[str, ...] = Field(default=(), description="a list of groups that are asked before")
    informed: tuple[str, ...] = Field(default=(), description="a list of groups that hear of it")


class Responsibilities(Section):
    """The steps; those that are not named are nobody's in particular."""

    train: Step | None = Field(default=None, description="to train a model in this environment")
    release: Step | None = Field(default=None, description="to make a release of what was trained in this environment")
    promote: Step | None = Field(default=None, description="to bring a release into this environment")
    rollback: Step | None = Field(default=None, description="to go back to the release before in this environment")

    def steps(self) -> Iterator[tuple[str, Step]]:
        """Yield name and parts of each step that is named."""
        for name in type(self).model_fields:
            step: Step | None = getattr(self, name)
            if step is not None:
                yield name, step
