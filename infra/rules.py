"""Rules between the values of an environment: what a type alone cannot say."""

from collections.abc import Iterator

from infra.capacity import never_admitted
from infra.contract.environment import Environment, Mode
from infra.contract.problems import KeyPath, Problem, show, suggest


def violations(environment: Environment) -> Iterator[Problem]:
    """Every broken rule of the environment."""
    yield from _images(environment)
    yield from _services(environment)
    yield from _owner(environment)
    yield from _node_pools(environment)
    yield from _placement(environment)
    yield from _models(environment)
    yield from never_admitted(environment)


def _images(environment: Environment) -> Iterator[Problem]:
    images: dict[KeyPath, object] = {
        ("images", key): image
        for key, image in environment.images.model_dump(by_alias=True, exclude={"base_python"}).items()
    }
    if environment.images.base_python is not None:
        images["images", "basePython", "image"] = environment.images.base_python.image
    for path, image in images.items():
        if str(image).endswith(":latest"):
            yield Problem(path, show(image), "a tag other than latest, or a digest", "name the version you tested")
    if environment.images.base_python is not None:
        return
    builders = {
        "cluster.shared false": not environment.cluster.shared,
        "tracking": environment.tracking.enabled,
        "training": bool(environment.training),
        "logging": environment.logging.mode is Mode.EMBEDDED,
    }
    for key in (key for key, builds in builders.items() if builds):
        yield Problem(
            ("images", "basePython"),
            "nothing",
            f"{{build: true}} or {{image: <reference>}}, because {key} needs an image that this stack builds",
            f"set basePython, or change {key}",
        )


def _services(environment: Environment) -> Iterator[Problem]:
    if environment.training and not environment.tracking.enabled:
        yield Problem(
            ("tracking", "enabled"), "false", "true, because training records its runs there", "set it to true"
        )
    store, logging, registry = environment.object_store, environment.logging, environment.registry
    if store.mode is Mode.EMBEDDED:
        yield from _required(("objectStore", "nodePort"), store.node_port, "a node port, because mode is embedded")
    else:
        yield from _required(("objectStore", "endpoint"), store.endpoint, "an https URL, because mode is external")
    if logging.mode is Mode.EMBEDDED:
        yield from _required(("logging", "nodePort"), logging.node_port, "a node port, because mode is embedded")
        yield from _required(("logging", "heap"), logging.heap, "a heap such as 512m, because mode is embedded")
        yield from _required(
            ("logging", "podLogsPath"), logging.pod_logs_path, "an absolute folder, because mode is embedded"
        )
    if registry.mode is Mode.EMBEDDED and not 30000 <= _registry_port(environment) <= 32767:
        yield Problem(
            ("registry", "address"),
            show(registry.address),
            "host:port with a node port of 30000 to 32767, because mode is embedded",
            "add a node port, or set mode to external",
        )
    yield from _ports(environment)


def _required(path: KeyPath, value: object, allowed: str) -> Iterator[Problem]:
    if value is None:
        yield Problem(path, "nothing", allowed, "add the key, or change the mode")


def _registry_port(environment: Environment) -> int:
    """The port of the registry's address, 0 where it names none."""
    port = environment.registry.address.rpartition(":")[2]
    return int(port) if port.isdigit() else 0


def _ports(environment: Environment) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    ports: list[tuple[KeyPath, int | None]] = [
        (("gateway", "nodePort"), environment.gateway.node_port),
        (("objectStore", "nodePort"), environment.object_store.node_port),
        (("logging", "nodePort"), environment.logging.node_port),
    ]
    if environment.registry.mode is Mode.EMBEDDED:
        ports.append((("registry", "address"), _registry_port(environment)))
    for path, port in ports:
        key = ".".join(str(step) for step in path)
        if port is not None and port in taken:
            yield Problem(path, str(port), f"a port that {taken[port]} does not use", "choose another port")
        elif port is not None:
            taken[port] = key


def _owner(environment: Environment) -> Iterator[Problem]:
    if not environment.cluster.shared:
        return
    if environment.logging.mode is Mode.EMBEDDED:
        yield Problem(
            ("logging", "mode"),
            '"embedded"',
            "external, because cluster.shared is true: the cluster's owner runs the log store",
            "set mode to external, or cluster.shared to false",
        )
    for index, pool in enumerate(environment.node_pools):
        if pool.simulated:
            yield Problem(
                ("nodePools", index, "simulated"),
                "true",
                "false, because cluster.shared is true: the cluster's owner creates nodes",
                "set external: true instead",
            )


def _node_pools(environment: Environment) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, pool in enumerate(environment.node_pools):
        if pool.name in seen:
            yield Problem(("nodePools", index, "name"), show(pool.name), "a name of its own", "rename one of the two")
        seen.add(pool.name)
        if pool.simulated and pool.external:
            yield Problem(
                ("nodePools", index),
                "simulated: true and external: true",
                "one of simulated and external",
                "remove one of the two",
            )
        elif not (pool.simulated or pool.external):
            yield Problem(
                ("nodePools", index),
                "neither simulated nor external",
                "simulated: true (nodes without hardware) or external: true (nodes the cluster's owner runs)",
                "add one of the two",
            )


def _placement(environment: Environment) -> Iterator[Problem]:
    pools = sorted(pool.name for pool in environment.node_pools)
    named: list[tuple[KeyPath, str | None]] = [
        *((("models", name, "nodePool"), model.node_pool) for name, model in environment.models.items()),
        *((("training", name, "nodePool"), entry.node_pool) for name, entry in environment.training.items()),
    ]
    for path, pool in named:
        if pool is not None and pool not in pools:
            allowed = ("null, " + ", ".join(pools)) if pools else "null (nodePools is empty)"
            yield Problem(path, show(pool), allowed, suggest(pool, pools, "add the pool to nodePools, or set null"))


def _models(environment: Environment) -> Iterator[Problem]:
    for name, model in environment.models.items():
        if model.release is not None and model.release == model.previous:
            yield Problem(
                ("models", name, "previous"),
                show(model.previous),
                "a release other than the serving one, or null",
                "name the release that served before, or set null",
            )
