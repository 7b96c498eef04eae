"""Platform images in the node's store: what is asked of the builder and of containerd."""

from collections import Counter
from pathlib import Path

import pytest

from infra.local.cluster import images
from infra.local.cluster.commands import Tools
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import Layout


def test_platform_images_are_pinned_for_no_registry_has_them(place: Layout, tools: Tools, tmp_path: Path) -> None:
    """A kubelet that is short of disk removes images that nobody runs, but for these."""
    calls = tmp_path / "calls"
    for name in ("ctr", "buildctl", *(image.tool for image in images.IMAGES)):
        program = tools.bin / name
        program.write_text(f'#!/bin/sh\necho "{name} $@" >> {calls}\n')
        program.chmod(0o755)
    images.build(tools, place, lambda _: None)
    asked = [line for line in calls.read_text().splitlines() if line.startswith("ctr") and " ls " not in line]
    done = Counter(line.split(" images ")[1].split()[0] for line in asked)
    assert done == {"import": len(images.IMAGES), "label": len(images.IMAGES)}
    pinned = {line.split()[-2] for line in asked if line.endswith(" io.cri-containerd.pinned=pinned")}
    assert pinned == {image.reference for image in images.IMAGES}


def test_an_image_that_fails_is_named_and_made_the_next_time(place: Layout, tools: Tools, tmp_path: Path) -> None:
    """What was made beside it and is in the store is not made again."""
    wrong, *_ = [image.reference for image in images.IMAGES[3:]]
    stored = "\\n".join(image.reference for image in images.IMAGES)
    for name in ("ctr", "buildctl", *(image.tool for image in images.IMAGES)):
        program = tools.bin / name
        program.write_text(
            f"#!/bin/sh\ncase \"$*\" in *build*{wrong}*) echo no room >&2; exit 4;; *ls*) printf '{stored}';; esac\n"
        )
        program.chmod(0o755)
    with pytest.raises(ClusterError, match="no room"):
        images.build(tools, place, lambda _: None)
    (tools.bin / "buildctl").write_text("#!/bin/sh\n")
    said: list[str] = []
    images.build(tools, place, said.append)
    assert f"image {wrong}" in said
    assert not {f"image {image.reference}" for image in images.IMAGES[:3]} & set(said)
