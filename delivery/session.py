"""What one command works with: the project's files, and the clients for everything outside of it.

It is made once, by the command's entry, and passed on; a test makes one of its own.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from rich.console import Console

from delivery.clients.backend import Backend
from delivery.clients.engine import Engine
from delivery.clients.jobs import TrainingJobs
from delivery.clients.kubectl import Kubectl
from delivery.clock import Clock
from delivery.project import Project

if TYPE_CHECKING:
    # They take long to import, and most commands need one or none.
    from delivery.clients.control_plane import ControlPlane
    from delivery.clients.endpoint import Endpoint
    from delivery.clients.frameworks import Interpreter
    from delivery.clients.logs import LogStore
    from delivery.clients.runs import Tracking
    from delivery.clients.store import Store


@dataclass(frozen=True)
class LocalCluster:
    """The embedded cluster, for the few commands that ask for it.

    `variables` makes what they name. `prepare` gets tools and images, `start` brings the node up.
    """

    variables: Callable[[], Mapping[str, str]]
    prepare: Callable[[Console], None]
    start: Callable[[], None]


@dataclass(frozen=True)
class Session:
    """The project, the target's variables, and clients made of them."""

    project: Project
    variables: Mapping[str, str]
    local: LocalCluster
    clock: Clock = field(default_factory=Clock)

    @cached_property
    def engine(self) -> Engine:
        """The engine in the project's folder."""
        return Engine(self.project.root, self.variables, self.clock)

    @cached_property
    def backend(self) -> Backend:
        """Where the engine keeps states and locks."""
        return Backend(self.engine)

    def interpreter(self, model: str) -> "Interpreter":
        """Return what runs the code of a model; raise ConfigError when there is no such model."""
        from delivery.clients.frameworks import Interpreter

        models = self.project.models
        return Interpreter(self.project.root, models.load(model).framework, models.folder / model, self.variables)

    def kubectl(self, environment: str) -> Kubectl:
        """Return the cluster of an environment."""
        values = self.project.environment(environment)
        return Kubectl(environment, values.cluster.context, self.variables, values.scope)

    def control_plane(self) -> AbstractContextManager["ControlPlane"]:
        """Return a control plane on which pods are placed and none is started, as long as the context lasts."""
        from delivery.clients.control_plane import control_plane

        return control_plane(self.variables, self.engine.work)

    def jobs(self, environment: str) -> TrainingJobs:
        """Return the training Jobs of an environment."""
        return TrainingJobs(self.kubectl(environment))

    def endpoint(self, environment: str, model: str) -> "Endpoint":
        """Return a model's endpoint; raise DeliveryError when the environment does not serve such a model."""
        from delivery.clients.endpoint import endpoint

        return endpoint(self.project, environment, model)

    def log_store(self, environment: str | None = None) -> "LogStore":
        """Return the log store of an environment, or of the project; raise DeliveryError when there is none."""
        from delivery.clients.logs import log_store

        return log_store(self.project, self.engine, environment)

    def tracking(self, environment: str) -> AbstractContextManager["Tracking"]:
        """Return the tracking server of an environment, open as long as the context lasts."""
        from delivery.clients.runs import tracking

        return tracking(self.project.environment(environment), self.kubectl(environment), self.engine)

    def store(self, environment: str) -> AbstractContextManager["Store"]:
        """Return the object store of an environment, open as long as the context lasts."""
        from delivery.clients.store import connect

        return connect(self.project.environment(environment), self.engine)

    def data_store(self, environment: str) -> AbstractContextManager["Store"]:
        """Return the store with data of somebody else's that the environment names, open as long as the context."""
        from delivery.clients.store import connect_data

        return connect_data(self.project.environment(environment), self.engine)
