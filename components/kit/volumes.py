"""The volumes of pods."""

from collections.abc import Mapping, Sequence

import pulumi

from components.kit.kubernetes import core


def secret_volume(name: str, secret: pulumi.Input[str], keys: Sequence[str] | None = None) -> core.v1.VolumeArgs:
    """Return a volume of a Secret, or of some of its keys, that the pod's group alone can read."""
    items = [core.v1.KeyToPathArgs(key=key, path=key) for key in keys] if keys is not None else None
    source = core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440, items=items)
    return core.v1.VolumeArgs(name=name, secret=source)


def config_volume(
    name: str, config_map: pulumi.Input[str], paths: Mapping[str, str] | None = None
) -> core.v1.VolumeArgs:
    """Return a volume of a ConfigMap, or of some of its keys by their path in it."""
    items = [core.v1.KeyToPathArgs(key=key, path=path) for key, path in paths.items()] if paths is not None else None
    return core.v1.VolumeArgs(name=name, config_map=core.v1.ConfigMapVolumeSourceArgs(name=config_map, items=items))


def scratch_volume(name: str, size: str = "256Mi", memory: bool = False) -> core.v1.VolumeArgs:
    """Return an empty folder that lives as long as the pod, on disk or in memory; `size` with a binary unit."""
    source = core.v1.EmptyDirVolumeSourceArgs(medium="Memory" if memory else None, size_limit=size)
    return core.v1.VolumeArgs(name=name, empty_dir=source)


def claim_volume(name: str, claim: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """Return a volume of a PersistentVolumeClaim."""
    source = core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim)
    return core.v1.VolumeArgs(name=name, persistent_volume_claim=source)


def host_volume(name: str, path: str, kind: str) -> core.v1.VolumeArgs:
    """Return a folder of the node; Pod Security "restricted" and "baseline" refuse it."""
    return core.v1.VolumeArgs(name=name, host_path=core.v1.HostPathVolumeSourceArgs(path=path, type=kind))
