"""The platform images of environments in one list: what runs, where the public has it, and how a mirror gets it."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from delivery.project import Project
from infra.contract.environment import PlatformImage
from infra.contract.versions import LOCAL_IMAGES, public_image, version

_COPY = """#!/bin/sh
# Copies the platform images to a mirror of one's own, and prints by digest what the stack file is to say; it needs
# skopeo or crane, logged in to both registries.
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
echo 'stellwerk:images:'
"""


@dataclass(frozen=True)
class ListedImage:
    """A platform image: its key in `stellwerk:images`, the reference that pods name, and who runs it.

    `public` is its public reference, null where nobody publishes it; `by_digest` says whether pods name a digest,
    `local` whether the reference exists on the local node alone.
    """

    name: str
    key: str
    version: str
    reference: str
    public: str | None
    environments: tuple[str, ...]
    by_digest: bool
    local: bool


def listed(project: Project, environments: Iterable[str]) -> list[ListedImage]:
    """Return the images that these environments run, each reference once."""
    users: dict[tuple[str, str], list[str]] = {}
    images: dict[str, PlatformImage] = {}
    for environment in environments:
        stack = project.stack(environment)
        for image in (image for service in stack.running() for image in service.images):
            images[image.name] = image
            used = users.setdefault((image.name, stack.environment.image(image)), [])
            if environment not in used:
                used.append(environment)
    return [
        ListedImage(
            name=name,
            key=_key(images[name]),
            version=version(name),
            reference=reference,
            public=public_image(name),
            environments=tuple(used),
            by_digest="@sha256:" in reference,
            local=reference.startswith(f"{LOCAL_IMAGES}/"),
        )
        for (name, reference), used in sorted(users.items())
    ]


def _key(image: PlatformImage) -> str:
    first, *others = image.name.split("-")
    return first + "".join(map(str.capitalize, others))


def mirror_script(images: Sequence[ListedImage], mirror: str) -> str:
    """Return a shell script that copies the images to `mirror` (host and path), and prints the values that name them.

    An image that nobody publishes is named in a comment: a script cannot copy it.
    """
    lines, seen = [_COPY.rstrip()], set[str]()
    for image in images:
        if image.name in seen:
            continue
        seen.add(image.name)
        source = image.public if image.local else image.reference
        target = f"{mirror.rstrip('/')}/{image.name}"
        if source is None:
            lines.append(f"# {image.name}: published nowhere; build it, push it to {target}:{image.version}")
            continue
        copied = shlex.join(["copy", source, f"{target}:{image.version}"])
        lines += [f"digest=$({copied})", f'echo "  {image.key}: {target}@$digest"']
    return "\n".join([*lines, ""])
