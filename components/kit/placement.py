"""Where pods of a node pool run: the nodes that they choose, and whose taints they tolerate."""

from collections.abc import Sequence

from components.kit.names import GPU, POOL_LABEL


def selector(pool: str) -> dict[str, str]:
    """Return the labels of the nodes of a pool."""
    return {POOL_LABEL: pool}


def tolerations(keys: Sequence[str] | None) -> list[dict[str, str]]:
    """Return tolerations of taints with these keys, whatever their value; of GPU nodes' custom where none are given."""
    return [{"key": key, "operator": "Exists"} for key in ([GPU] if keys is None else keys)]
