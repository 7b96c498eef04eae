"""Custom resources: their specs are typed dictionaries in the API's spelling, which a test holds against the CRDs."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components.kit.kubernetes import apiextensions


class CustomResource(apiextensions.CustomResource):
    """An object of a custom kind; the SDK sets its metadata without a declaration of it."""

    metadata: pulumi.Output[Mapping[str, Any]]
    """The object's metadata in the API's spelling."""
