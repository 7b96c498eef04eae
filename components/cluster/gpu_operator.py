"""NVIDIA's GPU Operator, and how it shares the GPUs of node pools."""

import json
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi

from components.kit.kubernetes import apiextensions, core, helm, meta
from components.kit.names import GPU
from components.kit.options import child

POLICY = "cluster-policy"
"""The one ClusterPolicy that the operator works by, as its chart calls it."""

_PLUGIN, _LAYOUTS, _NONE, _WHOLE = "stellwerk-device-plugin", "stellwerk-mig", "all-disabled", "whole"
# Nodes with instances of GPUs offer them by their profile, beside nodes with whole ones.
_STRATEGY = "mixed"


class ReleaseArgs(TypedDict):
    """How the operator's chart is installed."""

    chart: str
    """Name of the chart in the repository, an `oci://` address, or a folder."""
    version: NotRequired[str | None]
    """Version of the chart; that of the folder when absent."""
    repository: NotRequired[str | None]
    """URL of the chart repository; none for an `oci://` address or a folder."""
    driver: NotRequired[bool]
    """False: nodes have NVIDIA's driver already. True when absent."""
    toolkit: NotRequired[bool]
    """False: nodes have NVIDIA's container toolkit already. True when absent."""
    driver_version: NotRequired[str | None]
    """Version of the driver; the chart's own when absent."""
    awaits: NotRequired[bool]
    """False: an update does not wait until the operator runs. True when absent."""


class GpuOperatorArgs(TypedDict):
    """Arguments of GpuOperator."""

    namespace: str
    """Namespace of the operator."""
    release: NotRequired[ReleaseArgs | None]
    """How it is installed; absent: it runs there already, and its policy is somebody else's but for the sharing."""
    mig: NotRequired[Mapping[str, Mapping[str, int]] | None]
    """Instances of each GPU by profile, by pool: for nodes with the label `nvidia.com/mig.config: <pool>`."""
    time_slicing: NotRequired[Mapping[str, int] | None]
    """Pods that take turns on a GPU, by pool: for nodes with the label `nvidia.com/device-plugin.config: <pool>`."""
    mps: NotRequired[Mapping[str, int] | None]
    """Pods that run on a GPU at once, by pool: for nodes with that label and `nvidia.com/mps.capable: "true"`."""


class GpuOperator(pulumi.ComponentResource):
    """Driver, toolkit, device plugin and discovery on GPU nodes, by the operator's ClusterPolicy; shares by pool.

    Where the operator is somebody else's, three fields of its policy become this component's, whoever has set them:
    the MIG strategy, and which ConfigMaps device plugin and MIG manager read. They stay when the component goes, as do
    the ConfigMaps: taken out of the policy they would leave what its definition refuses.
    """

    policy: pulumi.Output[str]
    """Name of the ClusterPolicy, known once it says how GPUs are shared."""

    def __init__(self, name: str, args: GpuOperatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:GpuOperator", name, None, opts)
        release, namespace = args.get("release"), args["namespace"]
        first = [self._namespace(name, namespace)] if release else []
        layouts = {"config.yaml": _layouts(args.get("mig") or {})}
        configured = [
            self._config(f"{name}-{part}", namespace, title, data, first)
            for part, title, data in (("plugin", _PLUGIN, _plugin(args)), ("mig", _LAYOUTS, layouts))
        ]
        after = [*first, *configured]
        made = _patch(name, self, after) if release is None else _release(name, namespace, release, self, after)
        self.policy = pulumi.Output.from_input(made.urn).apply(lambda _: POLICY)
        self.register_outputs({"policy": self.policy})

    def _namespace(self, name: str, namespace: str) -> pulumi.Resource:
        labels = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}
        metadata = meta.v1.ObjectMetaArgs(name=namespace, labels=labels)
        made: pulumi.Resource = core.v1.Namespace(f"{name}-namespace", metadata=metadata, opts=child(self))
        return made

    def _config(
        self, name: str, namespace: str, title: str, data: Mapping[str, str], first: list[pulumi.Resource]
    ) -> pulumi.Resource:
        metadata = meta.v1.ObjectMetaArgs(name=title, namespace=namespace)
        # In a namespace of its own it goes with that.
        opts = _options(self, first, stays=not first)
        made: pulumi.Resource = core.v1.ConfigMap(name, metadata=metadata, data=data, opts=opts)
        return made


def _options(parent: pulumi.Resource, after: list[pulumi.Resource], stays: bool) -> pulumi.ResourceOptions:
    opts = child(parent, after)
    opts.retain_on_delete = stays
    return opts


def policy_fields() -> dict[str, Any]:
    """Return what says in a ClusterPolicy, and in the chart's values, how GPUs are shared."""
    return {
        "mig": {"strategy": _STRATEGY},
        "devicePlugin": {"config": {"name": _PLUGIN, "default": _WHOLE}},
        "migManager": {"enabled": True, "config": {"name": _LAYOUTS, "default": _NONE}},
    }


def _patch(name: str, parent: pulumi.Resource, after: list[pulumi.Resource]) -> pulumi.Resource:
    metadata = meta.v1.ObjectMetaArgs(name=POLICY, annotations={"pulumi.com/patchForce": "true"})
    made: pulumi.Resource = apiextensions.CustomResourcePatch(
        f"{name}-policy",
        api_version="nvidia.com/v1",
        kind="ClusterPolicy",
        metadata=metadata,
        spec=policy_fields(),
        opts=_options(parent, after, stays=True),
    )
    return made


def _release(
    name: str, namespace: str, args: ReleaseArgs, parent: pulumi.Resource, after: list[pulumi.Resource]
) -> pulumi.Resource:
    version, repository = args.get("driver_version"), args.get("repository")
    values = {
        **policy_fields(),
        "driver": {"enabled": args.get("driver", True), **({"version": version} if version else {})},
        "toolkit": {"enabled": args.get("toolkit", True)},
    }
    made: pulumi.Resource = helm.v3.Release(
        f"{name}-release",
        name="gpu-operator",
        namespace=namespace,
        chart=args["chart"],
        version=args.get("version"),
        repository_opts=helm.v3.RepositoryOptsArgs(repo=repository) if repository else None,
        values=values,
        skip_await=not args.get("awaits", True),
        # What a failed install has made is taken away with it.
        atomic=args.get("awaits", True),
        opts=child(parent, after),
    )
    return made


def _plugin(args: GpuOperatorArgs) -> dict[str, str]:
    """Return the device plugin's configurations by name: that of nodes without a label, and one for each pool."""
    shared = {
        **{pool: ("timeSlicing", count) for pool, count in (args.get("time_slicing") or {}).items()},
        **{pool: ("mps", count) for pool, count in (args.get("mps") or {}).items()},
    }
    made = {_WHOLE: _plugin_text({})}
    for pool, (way, count) in shared.items():
        resources = {"resources": [{"name": GPU, "replicas": count}]}
        # A pod with two shares of a GPU would get no more of it than one with one.
        strict = {"failRequestsGreaterThanOne": True} if way == "timeSlicing" else {}
        made[pool] = _plugin_text({"sharing": {way: {**strict, **resources}}})
    return made


def _plugin_text(more: Mapping[str, Any]) -> str:
    # JSON is YAML.
    return json.dumps({"version": "v1", "flags": {"migStrategy": _STRATEGY}, **more}, sort_keys=True)


def _layouts(mig: Mapping[str, Mapping[str, int]]) -> str:
    """Return the MIG manager's configurations: none, and one for each pool."""
    layouts: dict[str, Any] = {_NONE: [{"devices": "all", "mig-enabled": False}]}
    for pool, layout in mig.items():
        layouts[pool] = [{"devices": "all", "mig-enabled": True, "mig-devices": dict(layout)}]
    return json.dumps({"version": "v1", "mig-configs": layouts}, sort_keys=True)
