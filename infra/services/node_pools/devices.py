"""What the nodes of a pool offer to pods, and the labels that say so: as NVIDIA's device plugin and discovery do it."""

from collections.abc import Mapping

from components.kit.names import GPU
from infra.composition.gpus import gets_gpu
from infra.contract.gpu import mig_share, profile
from infra.services.node_pools.cards import card
from infra.services.node_pools.section import NodePool, Sharing

_VENDOR = "nvidia.com/"


# What devices of a class are counted as, as if they were an extended resource: pods claim them.
CLAIMED = "devices.stellwerk.dev/"


def resource(pool: NodePool, share: int | str) -> str:
    """Return the resource that a share of a pool's GPUs is one or more of."""
    return _whole(pool) if profile(share) is None else f"{_VENDOR}{share}"


def shown(resource: str) -> str:
    """Return what people call a resource: a class of devices by its name."""
    return resource.removeprefix(CLAIMED)


def _whole(pool: NodePool) -> str:
    return GPU if pool.device_class is None else CLAIMED + pool.device_class


def devices(pool: NodePool, gpus: int | None = None) -> dict[str, int]:
    """Return how many of each device a node has: whole GPUs, their shares, or their instances (MIG, mixed strategy).

    `gpus` are those of the node, where it has not as many as the pool says.
    """
    number = pool.gpus if gpus is None else gpus
    sharing = pool.sharing or Sharing()
    if sharing.mig:
        return {_VENDOR + mig_share(name): count * number for name, count in sharing.mig.items()}
    replicas = sharing.replicated.replicas if sharing.replicated else 1
    return {_whole(pool): number * replicas} if number else {}


def requested(pool: NodePool, gpu: int | str | None) -> dict[str, str]:
    """Return the devices that a pod asks for; where it says nothing, one of the only device that the pool has."""
    if not gets_gpu(gpu, pool.gpus):
        return {}
    if gpu is None:
        return {next(iter(devices(pool))): "1"}
    return {resource(pool, gpu): str(gpu) if isinstance(gpu, int) else "1"}


def labels(pool: NodePool) -> dict[str, str]:
    """Return the labels that GPU feature discovery gives a node with the pool's accelerator, as far as it is known."""
    if pool.accelerator is None:
        return {}
    known, sharing = card(pool.accelerator), pool.sharing or Sharing()
    shared = sharing.replicated is not None
    product = (known.product if known else pool.accelerator) + ("-SHARED" if shared else "")
    made = {f"{_VENDOR}gpu.product": product}
    if known is None:
        return made
    major, minor = known.compute.split(".")
    replicas = sharing.replicated.replicas if sharing.replicated else 1
    strategy = "time-slicing" if sharing.time_slicing else "mps" if sharing.mps else "none"
    return {
        **made,
        f"{_VENDOR}gpu.present": "true",
        f"{_VENDOR}gpu.count": str(pool.gpus),
        f"{_VENDOR}gpu.memory": str(known.memory),
        f"{_VENDOR}gpu.family": known.family,
        f"{_VENDOR}gpu.compute.major": major,
        f"{_VENDOR}gpu.compute.minor": minor,
        f"{_VENDOR}gpu.sharing-strategy": strategy,
        f"{_VENDOR}mig.capable": str(bool(known.profiles)).lower(),
        **({} if sharing.mig else {f"{_VENDOR}gpu.replicas": str(replicas)}),
        **_instances(pool, known.product, sharing.mig or {}),
    }


def _instances(pool: NodePool, product: str, layout: Mapping[str, int]) -> dict[str, str]:
    """Return the labels of instances by profile."""
    made = {f"{_VENDOR}mig.strategy": "mixed"} if layout else {}
    for name, count in layout.items():
        prefix = _VENDOR + mig_share(name)
        made |= {
            f"{prefix}.count": str(count * pool.gpus),
            f"{prefix}.product": f"{product}-MIG-{name.replace('+', '.')}",
            f"{prefix}.replicas": "1",
            f"{prefix}.sharing-strategy": "none",
        }
    return made


def configuration(pool: NodePool) -> dict[str, str]:
    """Return the labels by which the GPU Operator configures a node as the pool's sharing says."""
    sharing = pool.sharing
    if sharing is None:
        return {}
    if sharing.mig:
        return {f"{_VENDOR}mig.config": pool.name}
    mps = {f"{_VENDOR}mps.capable": "true"} if sharing.mps else {}
    return {f"{_VENDOR}device-plugin.config": pool.name, **mps}
