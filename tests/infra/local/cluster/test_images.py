"""Platform images in the node's store: what is asked of the builder and of containerd."""

from pathlib import Path

from infra.local.cluster import images
from infra.local.cluster.commands import Tools
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
    done = [line.split(" images ")[1].split()[0] for line in asked]
    assert done == ["import", "label"] * len(images.IMAGES)
    pinned = [line.split()[-2] for line in asked if line.endswith(" io.cri-containerd.pinned=pinned")]
    assert pinned == [image.reference for image in images.IMAGES]
