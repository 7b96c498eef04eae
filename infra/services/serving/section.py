"""The models of an environment: pointers to immutable releases, and how each is served."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from infra.contract.environment import Environment, Resources, SectionField
from infra.contract.fields import Name, ReleaseId, Section
from infra.contract.problems import ConfigError, Source
from infra.contract.release import Release, Releases

Known = Mapping[tuple[str, str], Release]


class Model(Section):
    """A served model: pointers to immutable releases, and how it is served."""

    release: ReleaseId | None = Field(description="a release id such as v2-3f2a9c1d, or null while there is none")
    previous: ReleaseId | None = Field(default=None, description="the release id to roll back to, or null")
    replicas: int = Field(default=1, ge=1, le=100, description="number of pods, 1 to 100")
    # Small: most models wait most of the time.
    resources: Resources = Resources(cpu="50m", memory="512Mi")
    node_pool: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_canary(cls, values: Any) -> Any:
        # Files of before say `canary: null`, which meant nothing.
        if isinstance(values, dict) and "canary" in values and values["canary"] is None:
            return {key: value for key, value in values.items() if key != "canary"}
        return values


SECTION: SectionField[Mapping[str, Model]] = SectionField(
    "models", dict[Name, Model], description="served models by name"
)


def models(environment: Environment) -> Mapping[str, Model]:
    """Return the models of an environment by name."""
    return environment.section(SECTION)


def pointed_releases(environment: Environment, source: Source, store: Releases) -> Known:
    """Return the serving and previous releases by (model, release).

    Raise ConfigError, with the line of the pointer, for one that does not exist or is not valid.
    """
    releases: dict[tuple[str, str], Release] = {}
    for name, model in models(environment).items():
        for pointer, release in (("release", model.release), ("previous", model.previous)):
            if release is None:
                continue
            try:
                releases[name, release] = store.load(name, release)
            except ConfigError as error:
                path = ("models", name, pointer)
                line = source.line(path)
                place = f"{source.name}:{line}" if line else source.name
                raise ConfigError(f"{place}: {source.key(path)}: {release}\n{error}") from None
    return releases
