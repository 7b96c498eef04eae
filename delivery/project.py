"""The project that a command works on: its environments in the order of promotion, and its releases.

Each file is read when it is first asked for, and once: whoever needs its state of now asks for `reload`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from delivery import stackfile
from delivery.errors import DeliveryError
from infra.composition.service import Stack
from infra.contract.environment import Environment
from infra.contract.evidence import EvidenceFolder
from infra.contract.feedback import FeedbackFolder
from infra.contract.forge import ForgeValues, forge_values
from infra.contract.model import Framework, Models
from infra.contract.release import Release, Releases
from infra.contract.stacks import BASE, StackFiles
from infra.contract.testset import TestSets
from infra.discovery import Services, known
from infra.services.serving import Model, models
from infra.services.training import pipelines
from infra.values import ROOT, file_name, from_file, typed


@dataclass(frozen=True)
class Pointers:
    """The two releases that an environment's file names for a model."""

    release: str | None
    previous: str | None


@dataclass(frozen=True)
class KnownReleases(Releases):
    """Releases are immutable: each file is read once."""

    _known: dict[tuple[str, str], Release] = field(default_factory=dict, compare=False)

    def load(self, model: str, release: str) -> Release:
        """Return the release, validated; raise ConfigError naming the file and every wrong value by line."""
        if (model, release) not in self._known:
            self._known[model, release] = super().load(model, release)
        return self._known[model, release]


@dataclass(frozen=True)
class Project:
    """A checkout with its environments, models and releases."""

    root: Path = ROOT
    services: Services = field(default_factory=known)
    # With the texts that they were validated from: an equal text is not validated again.
    _stacks: dict[str, tuple[tuple[str | None, ...], Stack]] = field(default_factory=dict)

    @cached_property
    def files(self) -> StackFiles:
        """The stack files, and what they share."""
        return StackFiles(self.root)

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments, each after the one that it takes releases from."""
        return self.files.ordered()

    @property
    def first(self) -> str:
        """The first environment, where releases enter; raise DeliveryError where there is none."""
        if not self.environments:
            raise DeliveryError(f"this checkout has no environment: write {BASE} and {file_name('<environment>')}")
        return self.environments[0]

    @cached_property
    def releases(self) -> KnownReleases:
        """The folder of releases."""
        return KnownReleases(self.root / "stacks" / "releases")

    @cached_property
    def test_sets(self) -> TestSets:
        """The folder of test sets."""
        return TestSets(self.root / "stacks" / "testsets")

    @cached_property
    def evidence(self) -> EvidenceFolder:
        """The folder of evidence."""
        return EvidenceFolder(self.root / "stacks" / "evidence")

    @cached_property
    def feedback(self) -> FeedbackFolder:
        """The folder of feedback."""
        return FeedbackFolder(self.root / "stacks" / "feedback", self.releases)

    @cached_property
    def models(self) -> Models:
        """The folder of models, each with its document."""
        return Models(self.root / "models")

    @property
    def forge(self) -> ForgeValues | None:
        """What the base says of the forge; None where its address says enough."""
        return forge_values(self.files)

    def file(self, environment: str) -> Path:
        """Return where the stack file of an environment is."""
        return self.root / file_name(environment)

    def text(self, environment: str) -> str:
        """Return the stack file's text with its line endings as they are; raise ConfigError when it is not readable."""
        return self.files.text(environment)

    def environment(self, environment: str) -> Environment:
        """Return the validated values of an environment; raise ConfigError with everything that is wrong."""
        return self.stack(environment).environment

    def served(self, environment: str) -> Mapping[str, Model]:
        """Return the models that an environment's file names."""
        return models(self.environment(environment))

    def stack(self, environment: str) -> Stack:
        """Return the validated values of an environment with its services; raise ConfigError as `environment` does."""
        texts = (self.text(self.files.require(environment)), self.files.base())
        validated = self._stacks.get(environment)
        if validated is None or validated[0] != texts:
            # Without releases, each a file to read and to validate: who needs one loads it, and the program all.
            loaded = from_file(environment, self.root, services=self.services, files=self.files, only=())
            validated = self._stacks[environment] = (texts, loaded.stack)
        return validated[1]

    def unchecked(self, environment: str) -> Stack:
        """Return the values of an environment with its services, whether they keep the rules or not.

        Raise ConfigError for a value of a wrong type.
        """
        name = self.files.require(environment)
        return typed(self.files.values(name), self.files.source(name), self.services)

    def reload(self, environment: str) -> None:
        """Forget what was read of a stack file: somebody may have edited it meanwhile."""
        self.files.forget(environment)

    def write(self, environment: str, text: str) -> None:
        """Replace the stack file in one step; its mode and its line endings stay."""
        # A text that was read with line endings made equal gets those of the file again.
        if "\r" not in text and "\r\n" in self.text(environment):
            text = text.replace("\n", "\r\n")
        stackfile.write(self.file(environment), file_name(environment), text)
        self.files.put(environment, text)

    def model(self, environment: str, model: str) -> Model:
        """Return what an environment's file says of a model; raise DeliveryError when it has no such model."""
        models = self.served(environment)
        if model not in models:
            known = ", ".join(models) or "none"
            raise DeliveryError(f"{file_name(environment)}: there is no model {model!r}; models there: {known}")
        return models[model]

    def pointers(self, environment: str, model: str) -> Pointers:
        """Return the releases that the file names; raise DeliveryError when it has no such model."""
        stated = self.model(environment, model)
        return Pointers(stated.release, stated.previous)

    def point(self, environment: str, model: str, pointers: Pointers) -> str:
        """Return the stack file's text with the pointers of a model changed, and not a character else."""
        name = file_name(environment)
        return stackfile.point(self.text(environment), name, model, pointers.release, pointers.previous)

    def source(self, environment: str) -> str | None:
        """Return the environment that a release must have been accepted by; None where releases enter."""
        return self.environment(environment).releases_from

    def trainer(self, model: str, environment: str | None = None) -> str:
        """Return the environment that trains a model: the given one, else the only one that does.

        Raise DeliveryError when none does, or several do, or the model is an existing file.
        """
        if model in self.models.names() and self.models.load(model).framework is Framework.NONE:
            raise DeliveryError(
                f"{self.models.file(model)}: framework: none is an existing file, which nothing trains; `stellwerk "
                f"model import {model}` makes its releases"
            )
        names = self.environments if environment is None else (environment,)
        trained = {name: pipelines(self.environment(name)) for name in names}
        candidates = [name for name, known in trained.items() if model in known]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise DeliveryError(f"{model} is trained in {', '.join(candidates)}; say in which one with --env")
        files = ", ".join(file_name(name) for name, known in trained.items() if known or len(names) == 1)
        known = sorted({name for each in trained.values() for name in each})
        raise DeliveryError(
            f"{files or BASE}: stellwerk:training has no {model!r}; models there: {', '.join(known) or 'none'}"
        )
