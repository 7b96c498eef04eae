"""What the log store needs of the quota, and whether a server holds the indices of as many days."""

from collections.abc import Iterator, Mapping

from components.logging.sizes import KIBANA, LOGSTASH, STORE_CPU, store_memory
from infra.composition.service import Ask, EveryValues
from infra.contract.environment import Environment, scope
from infra.contract.problems import Problem
from infra.services.logging.section import LogMode, section

# The server's own default (cluster.max_shards_per_node); an index has one shard here, and no replica.
_SHARDS = 1000
# Of lines of a day: the day itself, and the one on which the keeper has not run yet.
_BESIDE = 2


def asks(environment: Environment) -> Iterator[Ask]:
    """Yield what the pods of the log store ask for."""
    logs = section(environment)
    # Whether the heap is given is another rule's.
    if logs.mode is LogMode.EMBEDDED and logs.heap is not None:
        yield Ask(("logging", "heap"), 1, STORE_CPU, store_memory(logs.heap))
    elif logs.mode is LogMode.ECK and logs.eck is not None:
        for number, nodes in enumerate(logs.eck.node_sets):
            yield Ask(("logging", "eck", "nodeSets", number), nodes.count, nodes.cpu, nodes.memory)
        for name, pods, size in (("kibana", logs.eck.kibana, KIBANA), ("logstash", logs.eck.logstash, LOGSTASH)):
            if pods:
                yield Ask(("logging", "eck", name), pods, *size)


def too_many_indices(environment: Environment, every: EveryValues) -> Iterator[Problem]:
    """Yield that the embedded server would hold more daily indices than it allows: of all environments of its cluster.

    Beyond its limit it makes no index, and no line of that day is stored.
    """
    logs = section(environment)
    if logs.mode is not LogMode.EMBEDDED or logs.retention is None:
        return
    kept = {name: logs.retention.days for name in _sharing(environment, every)}
    # Namespaces that are no environment's have an index a day, too.
    kept |= {environment.scope: logs.retention.days, **logs.retention.environments, "": logs.retention.days}
    indices = sum(days + _BESIDE for days in kept.values())
    if indices <= _SHARDS:
        return
    longest = max(kept, key=lambda name: kept[name])
    named = longest in logs.retention.environments
    most = _SHARDS - sum(days + _BESIDE for name, days in kept.items() if name != longest) - _BESIDE
    path = ("logging", "retention", "environments", longest) if named else ("logging", "retention", "days")
    fits = str(max(most, 1)) if named else str(max(_SHARDS // len(kept) - _BESIDE, 1))
    yield Problem(
        path,
        str(kept[longest]),
        f"at most {fits} days: {len(kept)} indices a day ({', '.join(name or 'other namespaces' for name in kept)}) "
        f"would be {indices} in all, and a server has {_SHARDS} shards at most",
        "keep lines for fewer days, or set mode to eck or external",
    )


def _sharing(environment: Environment, every: EveryValues) -> Iterator[str]:
    """Yield the other environments of the checkout whose cluster is this one, which they share."""
    for name, values in every().items():
        cluster = values.get("cluster")
        if name == environment.environment or not isinstance(cluster, Mapping) or cluster.get("shared") is False:
            continue
        if cluster.get("context") == environment.cluster.context:
            yield scope(name, values.get("team"))
