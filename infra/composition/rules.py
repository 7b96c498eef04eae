"""Rules of an environment: those of each service, and those that hold between services."""

from collections.abc import Iterator

from infra.composition.service import Documents, EveryValues, Stack
from infra.contract.problems import Problem, show
from infra.contract.quantities import cpu_text, memory_bytes, memory_text, milli_cores


def violations(stack: Stack, every: EveryValues) -> Iterator[Problem]:
    """Yield every broken rule of the environment's values, alone and beside those of `every` environment."""
    for service in stack.services:
        yield from service.rules(stack)
        yield from service.rules_beside(stack.environment, every)
    yield from _needs(stack)
    yield from _ports(stack)
    yield from _sizes(stack)


def document_violations(stack: Stack, documents: Documents) -> Iterator[Problem]:
    """Yield every broken rule between the environment's values and the documents beside it."""
    for service in stack.services:
        yield from service.document_rules(stack.environment, documents)


def _needs(stack: Stack) -> Iterator[Problem]:
    """Yield each service that is off though one that runs needs it, and that nobody else can run."""
    running = list(stack.running())
    for giver in stack.services:
        reached = giver.connect is not None and giver.elsewhere(stack.environment)
        if giver in running or reached or giver.switch is None:
            continue
        users = [service.name for service in running if set(service.needs) & set(giver.gives)]
        if users:
            yield Problem(
                giver.switch.path,
                giver.switch.off,
                f"{giver.switch.on}, because this stack runs {', '.join(users)}, which needs {giver.name}",
                f"set it to {giver.switch.on}",
            )


def _sizes(stack: Stack) -> Iterator[Problem]:
    """Yield where the pods that values size need more than the quota of the platform's namespace, which all share."""
    quota, asks = stack.environment.quota, stack.asks()
    needs = {
        "cpu": (quota.cpu, milli_cores, cpu_text, [(ask, ask.cpu) for ask in asks]),
        "memory": (quota.memory, memory_bytes, memory_text, [(ask, ask.memory) for ask in asks]),
    }
    for key, (given, number, text, sizes) in needs.items():
        total = sum(ask.pods * number(size) for ask, size in sizes)
        if total > number(given):
            parts = ", ".join(f"{'.'.join(map(str, ask.path))} {ask.pods} times {size}" for ask, size in sizes)
            yield Problem(
                ("quota", key),
                show(given),
                f'at least "{text(total)}", because services need it in the namespace of the platform: {parts}',
                f"raise quota.{key}, or lower one of these",
            )


def _ports(stack: Stack) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    for wanted in stack.node_ports():
        if wanted.port in taken:
            yield Problem(
                wanted.path, str(wanted.port), f"a port that {taken[wanted.port]} does not use", "choose another port"
            )
        taken.setdefault(wanted.port, wanted.key)
