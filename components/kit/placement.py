"""Where pods of a node pool run: the nodes that they choose, and whose taints they tolerate."""

from collections.abc import Mapping, Sequence

from components.kit.names import GPU, POOL_LABEL


def selector(pool: str, labels: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the labels of the nodes of a pool: those that it is known by, where its nodes do not name it."""
    return dict(labels) if labels else {POOL_LABEL: pool}


def annotations(pool: str | None, labels: Mapping[str, str] | None) -> dict[str, str]:
    """Return how pods name a pool that their node selector does not name."""
    return {POOL_LABEL: pool} if pool and labels else {}


def tolerations(keys: Sequence[str] | None) -> list[dict[str, str]]:
    """Return tolerations of taints with these keys, whatever their value; of GPU nodes' custom where none are given."""
    return [{"key": key, "operator": "Exists"} for key in ([GPU] if keys is None else keys)]
