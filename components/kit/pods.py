"""What the pods of all components share: Pod Security "restricted", mounts, probes."""

import hashlib
from collections.abc import Mapping

import pulumi
from pulumi_kubernetes import core, meta, networking

USER = 10001

RESTRICTED_POD = core.v1.PodSecurityContextArgs(
    run_as_non_root=True,
    run_as_user=USER,
    run_as_group=USER,
    fs_group=USER,
    fs_group_change_policy="OnRootMismatch",
    seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
)
RESTRICTED_CONTAINER = core.v1.SecurityContextArgs(
    allow_privilege_escalation=False,
    read_only_root_filesystem=True,
    capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
)
# A failure is told within minutes instead of the engine's ten.
TIMEOUTS = pulumi.CustomTimeouts(create="5m", update="5m", delete="3m")


def child(
    parent: pulumi.Resource, depends_on: list[pulumi.Resource] | None = None, delete_before_replace: bool = False
) -> pulumi.ResourceOptions:
    """Options of a child resource."""
    return pulumi.ResourceOptions(
        parent=parent, depends_on=depends_on, custom_timeouts=TIMEOUTS, delete_before_replace=delete_before_replace
    )


def secret_volume(name: str, secret: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """A volume of a Secret, readable by the pod's group only."""
    return core.v1.VolumeArgs(name=name, secret=core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440))


def config_volume(name: str, config_map: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """A volume of a ConfigMap."""
    return core.v1.VolumeArgs(name=name, config_map=core.v1.ConfigMapVolumeSourceArgs(name=config_map))


def scratch_volume(name: str, size: str = "256Mi") -> core.v1.VolumeArgs:
    """An empty folder that lives as long as the pod; `size` in bytes with a binary unit."""
    return core.v1.VolumeArgs(name=name, empty_dir=core.v1.EmptyDirVolumeSourceArgs(size_limit=size))


def claim(
    name: str, namespace: pulumi.Input[str], storage: str, opts: pulumi.ResourceOptions
) -> core.v1.PersistentVolumeClaim:
    """A claim of `storage` bytes (with a binary unit) for one node's pods."""
    return core.v1.PersistentVolumeClaim(
        name,
        # Bound when its first pod is placed: nothing to wait for.
        metadata=meta.v1.ObjectMetaArgs(name=name, namespace=namespace, annotations={"pulumi.com/skipAwait": "true"}),
        spec=core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            resources=core.v1.VolumeResourceRequirementsArgs(requests={"storage": storage}),
        ),
        opts=opts,
    )


def claim_volume(name: str, claim: pulumi.Input[str]) -> core.v1.VolumeArgs:
    """A volume of a PersistentVolumeClaim."""
    source = core.v1.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim)
    return core.v1.VolumeArgs(name=name, persistent_volume_claim=source)


def mount(name: str, path: str, read_only: bool = False) -> core.v1.VolumeMountArgs:
    """Where a container sees a volume."""
    return core.v1.VolumeMountArgs(name=name, mount_path=path, read_only=read_only)


def template(app: str, configuration: pulumi.Input[str], pod: core.v1.PodSpecArgs) -> core.v1.PodTemplateSpecArgs:
    """The pod of `app`; another configuration rolls it, where ConfigMaps change in place, too."""
    version = pulumi.Output.from_input(configuration).apply(lambda text: hashlib.sha256(text.encode()).hexdigest()[:16])
    annotations = {"stellwerk.dev/configuration": version}
    return core.v1.PodTemplateSpecArgs(
        metadata=meta.v1.ObjectMetaArgs(labels={"app": app}, annotations=annotations), spec=pod
    )


def resources(
    cpu: str, memory: str, cpu_limit: str | None = None, devices: Mapping[str, str] | None = None
) -> core.v1.ResourceRequirementsArgs:
    """Requests and limits; the memory limit equals its request, so that a node never runs out unforeseen.

    The CPU limit is two cores where nothing else is said, or the request where that is more. `devices` are whole
    numbers by extended resource: of these Kubernetes takes the limit for the request.
    """
    limit = cpu_limit or (cpu if _cores(cpu) > 2 else "2")
    return core.v1.ResourceRequirementsArgs(
        requests={"cpu": cpu, "memory": memory}, limits={"cpu": limit, "memory": memory, **(devices or {})}
    )


def _cores(cpu: str) -> float:
    """CPU cores of a Kubernetes quantity: "500m" or "2"."""
    return float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)


def https_probe(path: str, port: int, seconds: int = 2) -> core.v1.ProbeArgs:
    """An HTTPS readiness probe every `seconds`."""
    return core.v1.ProbeArgs(
        http_get=core.v1.HTTPGetActionArgs(path=path, port=port, scheme="HTTPS"), period_seconds=seconds
    )


def tcp_probe(port: int, seconds: int = 2) -> core.v1.ProbeArgs:
    """A readiness probe that opens a connection every `seconds`."""
    return core.v1.ProbeArgs(tcp_socket=core.v1.TCPSocketActionArgs(port=port), period_seconds=seconds)


def allow_ingress(
    name: str,
    namespace: pulumi.Input[str],
    app: str,
    port: int | list[int],
    peers: list[networking.v1.NetworkPolicyPeerArgs] | None,
    opts: pulumi.ResourceOptions,
) -> networking.v1.NetworkPolicy:
    """Lets `peers` (everybody when None) reach `port` (or several) of the pods labelled `app`."""
    ports = [port] if isinstance(port, int) else port
    return networking.v1.NetworkPolicy(
        name,
        metadata=meta.v1.ObjectMetaArgs(name=f"allow-{app}", namespace=namespace),
        spec=networking.v1.NetworkPolicySpecArgs(
            pod_selector=meta.v1.LabelSelectorArgs(match_labels={"app": app}),
            policy_types=["Ingress"],
            ingress=[
                networking.v1.NetworkPolicyIngressRuleArgs(
                    ports=[networking.v1.NetworkPolicyPortArgs(port=number, protocol="TCP") for number in ports],
                    from_=peers,
                )
            ],
        ),
        opts=opts,
    )


def namespace_peer(namespace: pulumi.Input[str]) -> networking.v1.NetworkPolicyPeerArgs:
    """All pods of a namespace."""
    label = {"kubernetes.io/metadata.name": namespace}
    return networking.v1.NetworkPolicyPeerArgs(namespace_selector=meta.v1.LabelSelectorArgs(match_labels=label))


def secret_env(name: str, secret: pulumi.Input[str], key: str) -> core.v1.EnvVarArgs:
    """An environment variable from a key of a Secret."""
    source = core.v1.SecretKeySelectorArgs(name=secret, key=key)
    return core.v1.EnvVarArgs(name=name, value_from=core.v1.EnvVarSourceArgs(secret_key_ref=source))
