"""The storage class of all claims that a program declares."""

from typing import Any

import pulumi

_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"


def claim_from(storage_class: str) -> None:
    """Let all claims declared from now on be of this class, and not of the cluster's default."""

    def declare(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != _CLAIM:
            return None
        spec: Any = args.props["spec"]
        props = {**args.props, "spec": {**spec, "storageClassName": storage_class}}
        return pulumi.ResourceTransformationResult(props, args.opts)

    pulumi.runtime.register_stack_transformation(declare)
