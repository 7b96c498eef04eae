"""A Helm chart in a cluster, as the Kubernetes provider installs it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.kit.kubernetes import Provider


class Release(pulumi.CustomResource):
    """An installed chart; it is ready when its pods are."""

    def __init__(
        self,
        name: str,
        chart: str,
        version: str,
        namespace: str,
        values: Mapping[str, Any],
        provider: Provider,
        parent: pulumi.Resource,
        depends_on: Sequence[pulumi.Resource],
        repository: str | None = None,
    ) -> None:
        """Declare the chart with these values; without a repository `chart` is an address of its own."""
        props = {
            "name": name,
            "chart": chart,
            "version": version,
            "namespace": namespace,
            "createNamespace": True,
            "values": values,
            "repositoryOpts": {"repo": repository} if repository else None,
            # What the SDK of Kubernetes gives with every release.
            "compat": "true",
        }
        opts = pulumi.ResourceOptions(parent=parent, provider=provider, depends_on=depends_on)
        super().__init__("kubernetes:helm.sh/v3:Release", name, props, opts)
