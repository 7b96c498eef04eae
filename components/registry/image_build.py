"""An image built from a folder and pushed to a registry."""

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import NotRequired, TypedDict

import pulumi
import pulumi_docker_build as docker_build

from components.kit.access import LoginArgs

_TIMEOUTS = pulumi.CustomTimeouts(create="60m", update="60m", delete="5m")


class Compression(StrEnum):
    """How layers are stored."""

    ZSTD = "zstd"
    """zstd level 1: quick on both sides."""
    GZIP = "gzip"
    """For registries and runtimes that do not know zstd."""
    NONE = "uncompressed"
    """No time spent, most space."""


class ImageBuildArgs(TypedDict):
    """Arguments of ImageBuild."""

    repository: str
    """Name of the image in the registry, such as `training`."""
    registry: pulumi.Input[str]
    """host:port of the registry."""
    login: NotRequired[LoginArgs | None]
    """Login of the registry that may push; absent, that of the machine: its Docker configuration, or a helper in it."""
    context: str
    """Folder with the Dockerfile; what its .dockerignore names is left out."""
    epoch: int
    """Time that every file of the image carries, in seconds since 1970 (SOURCE_DATE_EPOCH)."""
    base_image: NotRequired[pulumi.Input[str] | None]
    """Image that the Dockerfile builds on (its argument BASE_IMAGE)."""
    contexts: NotRequired[Mapping[str, str] | None]
    """Further folders by the name that the Dockerfile copies them from."""
    revision: NotRequired[str | None]
    """What the image is built from: a commit, with a digest of what differs from it. It becomes the label
    org.opencontainers.image.revision and the Dockerfile's argument REVISION."""
    arguments: NotRequired[Mapping[str, pulumi.Input[str]] | None]
    """Further arguments of the Dockerfile by name."""
    secrets: NotRequired[Mapping[str, str] | None]
    """Build secrets: contents by id. They say how the build reaches its sources, which differs from machine to machine;
    what it makes does not depend on them, so another value is no change."""
    builder: NotRequired[str | None]
    """Builder to use; `stellwerk` when absent."""
    sets_times: NotRequired[bool]
    """True: every layer of the Dockerfile sets the times of its files to SOURCE_DATE_EPOCH itself, which spares a
    large image the rewriting of its layers."""
    compression: NotRequired[Compression | None]
    """Compression of layers; zstd when absent."""


class ImageBuild(pulumi.ComponentResource):
    """Builds when the folder, the base or an argument changes; the same input gives the same digest."""

    reference: pulumi.Output[str]
    """The image by digest: registry/repository@sha256:…; known once it is pushed."""
    arguments: pulumi.Output[Mapping[str, str]]
    """The Dockerfile's arguments that the image was built with."""

    def __init__(self, name: str, args: ImageBuildArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("stellwerk:index:ImageBuild", name, None, opts)
        context = args["context"]
        build_args: dict[str, pulumi.Input[str]] = {"SOURCE_DATE_EPOCH": str(args["epoch"])}
        build_args.update(args.get("arguments") or {})
        base = args.get("base_image")
        if base is not None:
            build_args["BASE_IMAGE"] = base
        revision = args.get("revision")
        if revision:
            build_args["REVISION"] = revision
        address = pulumi.Output.from_input(args["registry"])
        target = pulumi.Output.concat(address, "/", args["repository"])
        rewrite = not args.get("sets_times")
        secrets = args.get("secrets") or {}
        compression = args.get("compression") or Compression.ZSTD
        image = docker_build.Image(
            f"{name}-image",
            context=docker_build.BuildContextArgs(
                location=context,
                named={key: docker_build.ContextArgs(location=at) for key, at in (args.get("contexts") or {}).items()},
            ),
            dockerfile=docker_build.DockerfileArgs(location=os.path.join(context, "Dockerfile")),
            builder=docker_build.BuilderConfigArgs(name=args.get("builder") or "stellwerk"),
            build_args=build_args,
            labels={"org.opencontainers.image.revision": revision} if revision else None,
            secrets={key: pulumi.Output.secret(text) for key, text in secrets.items()},
            ignore_secrets_in_diff_calculation=sorted(secrets),
            platforms=[docker_build.Platform.LINUX_AMD64],
            # `push` would choose the exporter itself, without a say on timestamps and compression.
            push=False,
            exports=[docker_build.ExportArgs(raw=target.apply(lambda image: _export(image, compression, rewrite)))],
            build_on_preview=False,
            registries=_registries(address, args.get("login")),
            opts=pulumi.ResourceOptions(parent=self, custom_timeouts=_TIMEOUTS),
        )
        # The provider's own `ref` stays empty with an export of our own.
        self.reference = pulumi.Output.concat(target, "@", image.digest)
        self.arguments = image.build_args.apply(lambda given: given or {})
        self.register_outputs({"reference": self.reference})


def _registries(address: pulumi.Input[str], login: LoginArgs | None) -> list[docker_build.RegistryArgs] | None:
    """Return the login of the registry, None where the machine has one."""
    if login is None:
        return None
    password = pulumi.Output.secret(login["password"])
    return [docker_build.RegistryArgs(address=address, username=login["username"], password=password)]


def _export(image: str, compression: Compression, rewrite: bool) -> str:
    options = ["type=image", f"name={image}", "push=true", "oci-mediatypes=true"]
    options.append(f"rewrite-timestamp={str(rewrite).lower()}")
    options.append(f"compression={compression.value}")
    if compression is Compression.ZSTD:
        options.append("compression-level=1")
    # A base that is compressed otherwise is compressed again: the digest depends on the content alone.
    return ",".join([*options, "force-compression=true"])
