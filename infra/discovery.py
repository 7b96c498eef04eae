"""The services of this checkout: each module of `infra.services` that has a `SERVICE`, in the order of their needs."""

import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from types import ModuleType

from infra import services as own
from infra.composition.service import CompositionError, Service, Stack
from infra.contract import environment
from infra.contract.environment import Environment


@dataclass(frozen=True)
class Services:
    """The services, each after those whose hand-over it needs."""

    ordered: tuple[Service, ...]

    @cached_property
    def document(self) -> type[Environment]:
        """Return the type of the environment document with the sections of these services."""
        sections = [service.section for service in self.ordered if service.section]
        images = {image.name: image for service in self.ordered for image in service.images}
        return environment.document(sections, images.values())

    def stack(self, values: Environment) -> Stack:
        """Return an environment with these services."""
        return Stack(values, self.ordered)


@cache
def known() -> Services:
    """Return the services of this checkout."""
    return discover(own)


def discover(*packages: ModuleType) -> Services:
    """Return the services of the modules of these packages; raise CompositionError where they do not fit together."""
    services = []
    for package in packages:
        for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda each: each.name):
            loaded = import_module(f"{package.__name__}.{module.name}")
            service = getattr(loaded, "SERVICE", None)
            if not isinstance(service, Service):
                raise CompositionError(f"{loaded.__name__}: no SERVICE; declare one, or move the module elsewhere")
            services.append(service)
    return Services(tuple(ordered(services)))


def ordered(services: Iterable[Service]) -> list[Service]:
    """Return the services, each after those that give what it needs; raise CompositionError where none does."""
    by_name: dict[str, Service] = {}
    giver: dict[type, str] = {}
    for service in services:
        if service.name in by_name:
            raise CompositionError(f"two services are called {service.name}; give one of them another name")
        by_name[service.name] = service
        for kind in service.gives:
            if kind in giver:
                raise CompositionError(
                    f"{giver[kind]} and {service.name} both give {kind.__name__}; let one of them give another type"
                )
            giver[kind] = service.name
    graph: dict[str, set[str]] = {}
    for service in by_name.values():
        for kind in service.needs:
            if kind not in giver:
                known_kinds = ", ".join(sorted(each.__name__ for each in giver)) or "nothing"
                raise CompositionError(
                    f"the service {service.name} needs {kind.__name__}, which no service gives; given are: "
                    f"{known_kinds}; name it in `gives` of a service, or remove it from `needs`"
                )
        graph[service.name] = {giver[kind] for kind in service.needs}
    try:
        return [by_name[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise CompositionError(f"services need one another: {circle}; remove one of these needs") from None
