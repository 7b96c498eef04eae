"""Marks on every Kubernetes object with the project and stack that declare it."""

import copy
from collections.abc import Mapping
from typing import Any

import pulumi

from components.cluster.ownership import PROJECT_LABEL, STACK_LABEL, field_manager

_PROVIDER = "kubernetes:"
_GROUP = f"{_PROVIDER}yaml/v2:ConfigGroup"
_NO_OBJECTS = (":yaml/", ":helm.sh/")
_DEFINITION = f"{_PROVIDER}apiextensions.k8s.io/v1:CustomResourceDefinition"


def mark_objects() -> None:
    """Give all resources declared from now on labels and a field manager of this stack.

    The API server then refuses an apply by another project or stack, and lets this stack take over what its own killed
    update has made: that has the same manager.
    """
    pulumi.runtime.register_stack_transformation(_transformation)


def _transformation(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    if args.type_ == _GROUP:
        # Its objects are made in the provider, out of reach of a transformation.
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(transforms=[mark_child]))
        return pulumi.ResourceTransformationResult(args.props, opts)
    if not _is_own(args.type_):
        return None
    metadata = _typed(args.props.get("metadata"), _marks(args.type_))
    return pulumi.ResourceTransformationResult({**args.props, "metadata": metadata}, args.opts)


def mark_child(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    """Mark an object of a YAML file the same way."""
    if not _is_own(args.type_):
        return None
    given: Any = args.props.get("metadata")
    metadata = {**(given or {})}
    for key, added in _marks(args.type_).items():
        metadata[key] = {**(metadata.get(key) or {}), **added}
    return pulumi.ResourceTransformResult({**args.props, "metadata": metadata}, args.opts)


def _is_own(kind: str) -> bool:
    """Return whether an object is this stack's: a Patch changes one of somebody else's, which stays that one's.

    Those of a chart are Helm's, in the provider.
    """
    return kind.startswith(_PROVIDER) and not kind.endswith("Patch") and not any(each in kind for each in _NO_OBJECTS)


def _marks(kind: str) -> dict[str, dict[str, str]]:
    project, stack = pulumi.get_project(), pulumi.get_stack()
    labels = {PROJECT_LABEL: project, STACK_LABEL: stack}
    if kind == _DEFINITION:
        # The provider replaces it as a whole: an update that changes its manager leaves the new one without its fields.
        return {"labels": labels}
    return {"labels": labels, "annotations": {"pulumi.com/patchFieldManager": field_manager(project, stack)}}


def _typed(metadata: Any, marks: Mapping[str, Mapping[str, str]]) -> Any:
    if metadata is None or isinstance(metadata, Mapping):
        given = metadata or {}
        return {**given, **{key: _with(given.get(key), added) for key, added in marks.items()}}
    # The SDK's own type, in a service that uses it. A copy: the same value may be given to several resources.
    marked = copy.copy(metadata)
    for key, added in marks.items():
        setattr(marked, key, _with(getattr(marked, key), added))
    return marked


def _with(given: Any, added: Mapping[str, str]) -> pulumi.Input[Mapping[str, pulumi.Input[str]]]:
    if isinstance(given, pulumi.Output):
        return given.apply(lambda known: {**known, **added})
    return {**(given or {}), **added}
