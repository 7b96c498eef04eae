"""The Kubernetes SDK's names for the type checker; when a program runs, what they stand for without the SDK.

The SDK's modules define each type of the API as a class, with all its fields: to load them takes longer than all else
that a program does until its resources are registered. What is registered is the same, and tests hold it against the
SDK (decision 9).
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.kit.fields import Fields, shown

__all__ = [
    "Provider", "admissionregistration", "apiextensions", "apps", "batch", "core", "helm", "meta", "networking",
    "policy", "rbac", "yaml",
]  # fmt: skip


@cache
def _version() -> str:
    """Return the version of the SDK, which is the provider's."""
    sdk = find_spec("pulumi_kubernetes")
    assert sdk is not None and sdk.submodule_search_locations  # noqa: S101 (a dependency of this project)
    file = Path(sdk.submodule_search_locations[0], "pulumi-plugin.json")
    return str(json.loads(file.read_text(encoding="utf-8"))["version"])


def _with_version(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(pulumi.ResourceOptions(version=_version()), opts)


class _Object(pulumi.CustomResource):
    """An object of the cluster."""

    def __init__(
        self,
        resource_name: str,
        api_version: str,
        kind: str,
        opts: pulumi.ResourceOptions | None = None,
        token: str = "",
        **fields: Any,
    ) -> None:
        props: dict[str, Any] = {"apiVersion": api_version, "kind": kind, **Fields(**fields)}
        token = token or f"kubernetes:{api_version}:{kind}"
        super().__init__(token, resource_name, props, _with_version(opts))

    @property
    def metadata(self) -> pulumi.Output[Any]:
        """The object's metadata, its fields as attributes and by the API's names."""
        known: pulumi.Output[Any] = self.__dict__["metadata"]
        return known.apply(shown)


def _kind(group: str, version: str, name: str) -> type[_Object]:
    """Return the class of a kind of the API."""
    # The group that has no name in the API is called `core` in types.
    api_version = version if group == "core" else f"{group}/{version}"
    token = f"kubernetes:{group}/{version}:{name}"

    def declare(self: _Object, resource_name: str, opts: pulumi.ResourceOptions | None = None, **fields: Any) -> None:
        # A patch is of an object of the kind.
        kind = name.removesuffix("Patch")
        if kind == "Secret":
            # As the SDK does: neither what is given nor what the cluster makes of it is ever shown.
            for key in {"data", "string_data"} & {key for key, value in fields.items() if value is not None}:
                fields[key] = pulumi.Output.secret(fields[key])
            secrets = pulumi.ResourceOptions(additional_secret_outputs=["data", "stringData"])
            opts = pulumi.ResourceOptions.merge(opts, secrets)
        _Object.__init__(self, resource_name, api_version, kind, opts, token, **fields)

    return type(name, (_Object,), {"__init__": declare})


class _Version:
    """A version of an API group: `core.v1`."""

    def __init__(self, group: str, name: str) -> None:
        self._group, self._name = group, name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        made = Fields if name.endswith("Args") else _kind(self._group, self._name, name)
        setattr(self, name, made)
        return made


class _Group:
    """An API group in the version that this project uses."""

    def __init__(self, group: str) -> None:
        self.v1 = _Version(group, "v1")


class _ConfigGroup(pulumi.ComponentResource):
    """Objects of YAML files, made by the provider."""

    def __init__(self, resource_name: str, files: list[str], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("kubernetes:yaml/v2:ConfigGroup", resource_name, {"files": files}, _with_version(opts), True)


class _Provider(pulumi.ProviderResource):
    """A cluster, as the provider reaches it."""

    def __init__(self, resource_name: str, opts: pulumi.ResourceOptions | None = None, **settings: Any) -> None:
        # A provider takes texts; of anything else, its JSON.
        given: Mapping[str, Any] = Fields(**settings)
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
        super().__init__("kubernetes", resource_name, texts, _with_version(opts))


class _Release(pulumi.CustomResource):
    """A chart that the provider installs, as Helm does."""

    def __init__(self, resource_name: str, opts: pulumi.ResourceOptions | None = None, **fields: Any) -> None:
        props: dict[str, Any] = Fields(**fields)
        super().__init__("kubernetes:helm.sh/v3:Release", resource_name, props, _with_version(opts))


class _Helm:
    class v3:
        Release, RepositoryOptsArgs = _Release, Fields


class _CustomPatch(_Object):
    """Fields of an object of a custom kind; the provider knows a patch by its type alone."""

    def __init__(
        self, resource_name: str, api_version: str, kind: str, opts: pulumi.ResourceOptions | None = None, **fields: Any
    ) -> None:
        super().__init__(resource_name, api_version, kind, opts, f"kubernetes:{api_version}:{kind}Patch", **fields)


class _Extensions:
    CustomResource, CustomResourcePatch = _Object, _CustomPatch


class _Yaml:
    class v2:
        ConfigGroup = _ConfigGroup


if TYPE_CHECKING:
    from pulumi_kubernetes import (
        Provider,
        admissionregistration,
        apiextensions,
        apps,
        batch,
        core,
        helm,
        meta,
        networking,
        policy,
        rbac,
        yaml,
    )  # fmt: skip
else:
    Provider, apiextensions, helm, yaml = _Provider, _Extensions, _Helm, _Yaml
    core, apps, batch, policy, meta = (_Group(name) for name in ("core", "apps", "batch", "policy", "meta"))
    networking, rbac, admissionregistration = (
        _Group(f"{name}.k8s.io") for name in ("networking", "rbac.authorization", "admissionregistration")
    )
