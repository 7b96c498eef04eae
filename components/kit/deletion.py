"""Objects that go with their namespace: the engine deletes the namespace, and the cluster all that is in it."""

import copy
from collections.abc import Mapping
from typing import Any

import pulumi

_NAMESPACE = "kubernetes:core/v1:Namespace"
# Of these kinds the cluster's own controllers take away what belongs to them, whoever deletes the namespace. A custom
# resource may need its controller for that, which may itself be in a namespace that is being deleted. What runs pods is
# deleted first: a namespace with pods is looked at again only after half of the time that they are given to end.
_GROUPS = frozenset(
    f"kubernetes:{group}"
    for group in (
        "core/v1", "autoscaling/v2", "batch/v1", "networking.k8s.io/v1", "policy/v1", "rbac.authorization.k8s.io/v1",
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
    holders = _Holders()

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ == _NAMESPACE:
            holders.add(_field(args.props, "name"), args.resource)
            return None
        place = _field(args.props, "namespace")
        if place is None or args.opts.deleted_with is not None or not _goes_along(args.type_):
            return None
        # A copy: components may give the same options to several resources.
        opts = copy.copy(args.opts)
        opts.deleted_with = holders.of(place)
        return pulumi.ResourceTransformationResult(args.props, opts)

    pulumi.runtime.register_stack_transformation(transform)


class _Holders:
    """The namespaces of a stack by name, and what stands for them where the name is known later."""

    def __init__(self) -> None:
        self._named: dict[str, pulumi.Resource] = {}
        # Many objects are given the very same output: asked once. It is kept, so that no other one gets its identity.
        self._later: dict[int, tuple[pulumi.Output[str], pulumi.Resource]] = {}

    def add(self, name: Any, namespace: pulumi.Resource) -> None:
        """Remember a namespace, where the program gives its name."""
        if isinstance(name, str):
            self._named[name] = namespace

    def of(self, place: Any) -> pulumi.Resource | None:
        """Return the namespace that `place` names, what will be it, or None where it is not of this stack."""
        if isinstance(place, str):
            return self._named.get(place)
        if id(place) not in self._later:
            title: pulumi.Output[str] = pulumi.Output.from_input(place)
            urn: pulumi.Output[str] = title.apply(lambda name: _urn(self._named.get(name)))
            self._later[id(place)] = (place, _Later(urn))
        return self._later[id(place)][1]


def _urn(resource: pulumi.Resource | None) -> pulumi.Output[str]:
    return pulumi.Output.from_input("") if resource is None else resource.urn


def _goes_along(kind: str) -> bool:
    return kind.rpartition(":")[0] in _GROUPS and kind not in _OTHERS and not kind.endswith("Patch")


def _field(props: Mapping[str, Any], name: str) -> Any:
    metadata = props.get("metadata")
    return metadata.get(name) if isinstance(metadata, Mapping) else getattr(metadata, name, None)
