"""The platform images of environments in one list: what runs, where the public has it, and how a mirror gets it."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from delivery.project import Project
from infra.contract.environment import PlatformImage
from infra.contract.versions import LOCAL_IMAGES, public_image, version

_COPY = """#!/bin/sh
# Copies the platform images to a mirror of one's own, and prints what the stack file is to say, with the digest of
# each; it needs skopeo or crane, logged in to both registries.
set -eu
copy() {
    if command -v skopeo >/dev/null; then
        skopeo copy --all --quiet "docker://$1" "docker://$2" >&2
        skopeo inspect --no-tags --format '{{.Digest}}' "docker://$2"
    else
        crane copy "$1" "$2" >&2
        crane digest "$2"
    fi
}
"""


@dataclass(frozen=True)
class ListedImage:
    """A platform image: its key in `stellwerk:images`, the reference that pods name, and who runs it.

    `public` is its public reference, null where nobody publishes it; `named` says whether the environment names this
    one image, `by_digest` whether pods name a digest, `local` whether the reference exists on the local node alone.
    """

    name: str
    key: str
    version: str
    reference: str
    public: str | None
    environments: tuple[str, ...]
    named: bool
    by_digest: bool
    local: bool


def listed(project: Project, environments: Iterable[str]) -> list[ListedImage]:
    """Return the images that these environments run, each reference once.

    Rules do not count here: who has no digest of a new version yet gets it by this list.
    """
    by_reference: dict[tuple[str, str], ListedImage] = {}
    for environment in environments:
        stack = project.unchecked(environment)
        for image in {image.name: image for service in stack.running() for image in service.images}.values():
            reference = stack.environment.image(image)
            same = by_reference.get((image.name, reference))
            by_reference[image.name, reference] = ListedImage(
                name=image.name,
                key=_key(image),
                version=version(image.name),
                reference=reference,
                public=public_image(image.name),
                environments=(*(same.environments if same else ()), environment),
                named=stack.environment.images.names(image),
                by_digest="@sha256:" in reference,
                local=reference.startswith(f"{LOCAL_IMAGES}/"),
            )
    return [image for _, image in sorted(by_reference.items())]


def _key(image: PlatformImage) -> str:
    first, *others = image.name.split("-")
    return first + "".join(map(str.capitalize, others))


def mirror_script(images: Sequence[ListedImage], mirror: str) -> str:
    """Return a shell script that copies the images to `mirror` (host and path), and prints the values that name them.

    An image that the values name by itself keeps its key. One that nobody publishes is named in a comment: a script
    cannot copy it.
    """
    mirror = mirror.rstrip("/")
    lines = [_COPY.rstrip(), f"echo 'stellwerk:images:'\necho '  mirror: {mirror}'\necho '  digests:'"]
    once = {image.name: image for image in reversed(images)}
    for image in sorted(once.values(), key=lambda each: (each.named, each.name)):
        source = image.reference if image.named and not image.local else image.public
        target = f"{mirror}/{image.name}"
        if source is None:
            lines.append(
                f"# {image.name}: published nowhere; build it, push it to {target}:{image.version}, and write "
                f"its digest beside {image.name}:{image.version}"
            )
            continue
        copied = shlex.join(["copy", source, f"{target}:{image.version}"])
        value = f"  {image.key}: {target}@$digest" if image.named else f"    {image.name}:{image.version}: $digest"
        lines += [f"digest=$({copied})", f'echo "{value}"']
    return "\n".join([*lines, ""])
