"""What pods are made of: containers under Pod Security "restricted", their mounts, resources and probes."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from components.kit.device_claims import claimed
from components.kit.kubernetes import core, meta
from components.kit.security import RESTRICTED_CONTAINER, RESTRICTED_POD

TEMPORARY = "/tmp"  # noqa: S108
# What a node's labels call it, and the part of a data centre that fails as a whole.
TOPOLOGY = ("kubernetes.io/hostname", "topology.kubernetes.io/zone")


class Resources(TypedDict):
    """Requests and limits of a container, by resource, and which of its pod's claims it uses, as the API spells it."""

    requests: dict[str, str]
    limits: dict[str, str]
    claims: NotRequired[list[dict[str, str]]]


def container(
    name: str,
    image: pulumi.Input[str],
    resources: Resources,
    mounts: Sequence[core.v1.VolumeMountArgs],
    *,
    command: Sequence[str] | None = None,
    args: Sequence[str] | None = None,
    env: Sequence[core.v1.EnvVarArgs] | None = None,
    readiness: core.v1.ProbeArgs | None = None,
    liveness: core.v1.ProbeArgs | None = None,
) -> core.v1.ContainerArgs:
    """Return a container without privileges, whose file system is read-only but for its mounts.

    One that leaves the `liveness` probe without an answer for five minutes is started again.
    """
    return core.v1.ContainerArgs(
        name=name,
        image=image,
        command=command,
        args=args,
        env=env,
        security_context=RESTRICTED_CONTAINER,
        resources=core.v1.ResourceRequirementsArgs(
            requests=resources["requests"],
            limits=resources["limits"],
            claims=[core.v1.ResourceClaimArgs(name=each["name"]) for each in resources.get("claims", [])] or None,
        ),
        readiness_probe=readiness,
        liveness_probe=None if liveness is None else _patient(liveness),
        volume_mounts=mounts,
    )


def _patient(probe: core.v1.ProbeArgs) -> core.v1.ProbeArgs:
    """Return a probe that fails once there was no answer for five minutes.

    A server that is only slow answers sooner, and so does one that starts: none needs a startup probe. Readiness takes
    either out of its Service long before.
    """
    return core.v1.ProbeArgs(http_get=probe.http_get, period_seconds=10, timeout_seconds=10, failure_threshold=30)


def pod(
    containers: Sequence[core.v1.ContainerArgs],
    volumes: Sequence[core.v1.VolumeArgs],
    *,
    init_containers: Sequence[core.v1.ContainerArgs] | None = None,
    pull_secret: pulumi.Input[str] | None = None,
    account: pulumi.Input[str] | None = None,
    grace_seconds: int | None = None,
    restart_policy: str | None = None,
) -> core.v1.PodSpecArgs:
    """Return a pod under Pod Security "restricted", without a token of the API server.

    What one pod alone needs is set on what this returns.
    """
    return core.v1.PodSpecArgs(
        security_context=RESTRICTED_POD,
        service_account_name=account,
        automount_service_account_token=False,
        image_pull_secrets=[core.v1.LocalObjectReferenceArgs(name=pull_secret)] if pull_secret is not None else None,
        termination_grace_period_seconds=grace_seconds,
        restart_policy=restart_policy,
        init_containers=init_containers,
        containers=containers,
        volumes=volumes,
    )


def template(
    app: str, pod: core.v1.PodSpecArgs, configuration: pulumi.Input[str] | None = None
) -> core.v1.PodTemplateSpecArgs:
    """Return the template of the pods of `app`; another configuration rolls them, where ConfigMaps change in place."""
    annotations = None
    if configuration is not None:
        version = pulumi.Output.from_input(configuration).apply(_short_digest)
        annotations = {"stellwerk.dev/configuration": version}
    metadata = meta.v1.ObjectMetaArgs(labels={"app": app}, annotations=annotations)
    return core.v1.PodTemplateSpecArgs(metadata=metadata, spec=pod)


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def resources(
    cpu: str,
    memory: str,
    cpu_limit: str | None = None,
    devices: Mapping[str, str] | None = None,
    claims: bool = False,
    scratch: str | None = None,
) -> Resources:
    """Return requests and limits; the memory limit equals its request, so that a node never runs out unforeseen.

    The CPU limit is two cores where nothing else is said, or the request where that is more. `devices` are whole
    numbers by extended resource: of these Kubernetes takes the limit for the request. With `claims` the container uses
    the devices that its pod claims. `scratch` limits what goes to the node's disk, logs and scratch volumes, of which
    nothing is set aside; without it, the namespace does.
    """
    limit = cpu_limit or (cpu if _cores(cpu) > 2 else "2")
    requests, limits = {"cpu": cpu, "memory": memory}, {"cpu": limit, "memory": memory, **(devices or {})}
    if scratch is not None:
        requests["ephemeral-storage"], limits["ephemeral-storage"] = "0", scratch
    made: Resources = {"requests": requests, "limits": limits}
    if claims:
        made["claims"] = claimed()
    return made


def _cores(cpu: str) -> float:
    """Return the CPU cores of a Kubernetes quantity: "500m" or "2"."""
    return float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)


def spread(labels: Mapping[str, str]) -> list[core.v1.TopologySpreadConstraintArgs]:
    """Return that pods with these labels go to different nodes and zones, as far as there are any with room."""
    return [
        core.v1.TopologySpreadConstraintArgs(
            max_skew=1,
            topology_key=key,
            when_unsatisfiable="ScheduleAnyway",
            label_selector=meta.v1.LabelSelectorArgs(match_labels=labels),
        )
        for key in TOPOLOGY
    ]


def mount(name: str, path: str, read_only: bool = False) -> core.v1.VolumeMountArgs:
    """Return where a container sees a volume."""
    return core.v1.VolumeMountArgs(name=name, mount_path=path, read_only=read_only)


def temporary(name: str = "tmp") -> core.v1.VolumeMountArgs:
    """Return the mount of a scratch volume as the container's folder for temporary files."""
    return mount(name, TEMPORARY)


def env(values: Mapping[str, pulumi.Input[str]]) -> list[core.v1.EnvVarArgs]:
    """Return environment variables with these values, in this order."""
    return [core.v1.EnvVarArgs(name=name, value=value) for name, value in values.items()]


def secret_env(name: str, secret: pulumi.Input[str], key: str) -> core.v1.EnvVarArgs:
    """Return an environment variable from a key of a Secret."""
    source = core.v1.SecretKeySelectorArgs(name=secret, key=key)
    return core.v1.EnvVarArgs(name=name, value_from=core.v1.EnvVarSourceArgs(secret_key_ref=source))


def field_env(name: str, path: str) -> core.v1.EnvVarArgs:
    """Return an environment variable from a field of the pod itself."""
    source = core.v1.ObjectFieldSelectorArgs(field_path=path)
    return core.v1.EnvVarArgs(name=name, value_from=core.v1.EnvVarSourceArgs(field_ref=source))


def https_probe(path: str, port: int) -> core.v1.ProbeArgs:
    """Return an HTTPS probe, as readiness every two seconds."""
    return _asked(core.v1.HTTPGetActionArgs(path=path, port=port, scheme="HTTPS"))


def http_probe(path: str, port: int) -> core.v1.ProbeArgs:
    """Return an HTTP probe, as readiness every two seconds."""
    return _asked(core.v1.HTTPGetActionArgs(path=path, port=port))


def _asked(question: core.v1.HTTPGetActionArgs) -> core.v1.ProbeArgs:
    # On a busy node an answer takes longer than the second that is the default, and all replicas would go at once: a
    # late answer is better than none.
    return core.v1.ProbeArgs(http_get=question, period_seconds=2, timeout_seconds=5)


def tcp_probe(port: int) -> core.v1.ProbeArgs:
    """Return a readiness probe that opens a connection every two seconds."""
    return core.v1.ProbeArgs(tcp_socket=core.v1.TCPSocketActionArgs(port=port), period_seconds=2)
