"""The base image's root file system: killed while it is made, nothing of it stays behind on the machine."""

import os
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.project import ROOT, kill_group

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a root file system is made by root")

# debootstrap mounts /proc in the new root as well, and takes half a minute more.
_DEBOOTSTRAP = """#!/bin/sh
root=$4
mkdir -p "$root/proc"
mount -t proc proc "$root/proc"
touch "$(dirname "$root")/mounted"
sleep 60
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A cache in which the making of the base was killed with -9, with everything it had started."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "debootstrap").write_text(_DEBOOTSTRAP)
    (tools / "debootstrap").chmod(0o755)
    context = tmp_path / "cache" / "base-python"
    process = make(context, tools)
    deadline = time.monotonic() + 300
    while not list(context.parent.glob("rootfs-*/mounted")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "debootstrap was not started"
        time.sleep(0.05)
    kill_group(process)
    return context


def make(context: Path, tools: Path) -> subprocess.Popen[str]:
    program = "\n".join(
        (
            "from pathlib import Path",
            "from infra.local import base_image",
            f"base_image.make(Path({str(context)!r}), print)",
        )
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, start_new_session=True, text=True, stderr=subprocess.PIPE,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip


def test_no_mount_stays(killed: Path) -> None:
    """`rm -rf` of the cache would walk into it."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    left = [mount for mount in mounts if mount.startswith(str(killed.parent))]
    for mount in left:
        subprocess.run(["umount", mount], check=True)
    assert left == []


def test_the_next_run_removes_what_was_left(killed: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "debootstrap").write_text('#!/bin/sh\nmkdir -p "$4/etc"\n')
    process = make(killed, tmp_path / "bin")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert sorted(file.name for file in killed.iterdir()) == [".built", "Dockerfile", "rootfs.tar.gz"]
    assert list(killed.parent.glob("rootfs-*")) == []


def test_the_day_on_which_it_is_made_is_not_in_it(tmp_path: Path) -> None:
    """Users made by packages carry the date of their password: two machines would get two digests of every image."""
    digests = set()
    for day in ("20781", "20782"):
        tools = tmp_path / day
        tools.mkdir()
        line = f"root:*:{day}:0:99999:7:::"
        (tools / "debootstrap").write_text(f'#!/bin/sh\nmkdir -p "$4/etc"\necho \'{line}\' > "$4/etc/shadow"\n')
        (tools / "debootstrap").chmod(0o755)
        process = make(tmp_path / f"cache-{day}" / "base-python", tools)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        digests.add(sha256((tmp_path / f"cache-{day}" / "base-python" / "rootfs.tar.gz").read_bytes()).hexdigest())
    assert len(digests) == 1
