"""Objects that go with their namespace: the engine deletes the namespace, and the cluster all that is in it."""

from collections.abc import Mapping
from typing import Any

import pulumi

_NAMESPACE = "kubernetes:core/v1:Namespace"
# Of these kinds the cluster's own controllers take away what belongs to them, whoever deletes the namespace. A custom
# resource may need its controller for that, which may itself be in a namespace that is being deleted.
_GROUPS = frozenset(
    f"kubernetes:{group}"
    for group in (
        "core/v1", "apps/v1", "autoscaling/v2", "batch/v1", "networking.k8s.io/v1", "policy/v1",
        "rbac.authorization.k8s.io/v1",
    )
)  # fmt: skip
# A controller of somebody else's has made a load balancer for it.
_OTHERS = frozenset({"kubernetes:networking.k8s.io/v1:Ingress"})


class _Later(pulumi.Resource):
    """Stands for a resource whose URN is known later, or never; it is not registered."""

    def __init__(self, urn: pulumi.Output[str]) -> None:
        self.__dict__["urn"] = urn


def delete_with_namespaces() -> None:
    """Let the objects declared from now on be deleted with their namespace, where the same update deletes that.

    Where the namespace stays, or is of another stack, they are deleted one by one, as ever.
    """
    namespaces: dict[str, pulumi.Resource] = {}

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ == _NAMESPACE:
            name = _field(args.props, "name")
            if isinstance(name, str):
                namespaces[name] = args.resource
            return None
        place = _field(args.props, "namespace")
        if place is None or args.opts.deleted_with is not None or not _goes_along(args.type_):
            return None
        title = pulumi.Output.from_input(place)
        holder: pulumi.Output[str] = title.apply(lambda known: _urn(namespaces.get(known)))
        # A copy: components may give the same options to several resources.
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(deleted_with=_Later(holder)))
        return pulumi.ResourceTransformationResult(args.props, opts)

    pulumi.runtime.register_stack_transformation(transform)


def _urn(resource: pulumi.Resource | None) -> pulumi.Output[str]:
    return pulumi.Output.from_input("") if resource is None else resource.urn


def _goes_along(kind: str) -> bool:
    return kind.rpartition(":")[0] in _GROUPS and kind not in _OTHERS and not kind.endswith("Patch")


def _field(props: Mapping[str, Any], name: str) -> Any:
    metadata = props.get("metadata")
    return metadata.get(name) if isinstance(metadata, Mapping) else getattr(metadata, name, None)
