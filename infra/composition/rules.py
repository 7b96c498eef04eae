"""Rules between the values of an environment: those of each service, and those that hold between services."""

from collections.abc import Iterator

from infra.composition.service import Stack
from infra.contract.problems import Problem


def violations(stack: Stack) -> Iterator[Problem]:
    """Yield every broken rule of the environment."""
    for service in stack.services:
        yield from service.rules(stack)
    yield from _ports(stack)


def _ports(stack: Stack) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    for wanted in stack.node_ports():
        if wanted.port in taken:
            yield Problem(
                wanted.path, str(wanted.port), f"a port that {taken[wanted.port]} does not use", "choose another port"
            )
        taken.setdefault(wanted.port, wanted.key)
