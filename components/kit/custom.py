"""Custom resources: their specs are typed dictionaries in the API's spelling, which a test holds against the CRDs."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components.kit.kubernetes import apiextensions, meta


class CustomResource(apiextensions.CustomResource):
    """An object of a custom kind; the SDK sets its metadata without a declaration of it."""

    metadata: pulumi.Output[Mapping[str, Any]]
    """The object's metadata in the API's spelling."""


class CustomResourcePatch(apiextensions.CustomResource):
    """Fields of somebody else's object of a custom kind, by server-side apply: they go with the resource."""

    def __init__(
        self,
        name: str,
        api_version: str,
        kind: str,
        metadata: meta.v1.ObjectMetaArgs,
        spec: Mapping[str, Any],
        opts: pulumi.ResourceOptions,
    ) -> None:
        # The provider knows what is a patch by the end of its kind.
        super().__init__(name, api_version=api_version, kind=f"{kind}Patch", metadata=metadata, spec=spec, opts=opts)
