"""The node's network is given back, and another cluster's is left alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from infra.local.cluster import network
from infra.local.cluster.commands import Tools
from infra.local.cluster.layout import Layout

# Keeps its name and its arguments in a file beside it; `ip` lists no address.
TOOL = '#!/bin/sh\necho "$(basename "$0") $*" >>"$(dirname "$0")/calls"\necho "[]"\n'


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("ip", "nft"):
        (folder / name).write_text(TOOL)
        (folder / name).chmod(0o755)
    return Tools(folder, tmp_path / "cni")


@pytest.fixture
def place(place: Layout, tmp_path: Path) -> Layout:
    """A state directory on a machine that does not forward."""
    setting = tmp_path / "sys" / "net" / "ipv4" / "ip_forward"
    setting.parent.mkdir(parents=True)
    setting.write_text("0\n")
    boot(tmp_path, "first")
    return replace(place, kernel=tmp_path / "sys")


@pytest.fixture
def forwarding(place: Layout) -> Path:
    """The kernel's setting."""
    return place.kernel / "net" / "ipv4" / "ip_forward"


def commands(tools: Tools) -> list[str]:
    """What has been run since the last question, by name of the tool and its arguments."""
    calls = tools.bin / "calls"
    lines = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return lines


def boot(folder: Path, name: str) -> None:
    file = folder / "sys" / "kernel" / "random" / "boot_id"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{name}\n")


def test_down_takes_back_what_up_has_set(place: Layout, tools: Tools, forwarding: Path) -> None:
    network.up(tools, place)
    assert forwarding.read_text() == "1"
    commands(tools)
    network.down(tools, place)
    assert forwarding.read_text() == "0"
    assert any(command.startswith("ip address delete") for command in commands(tools))
    assert not network.made(place)


def test_a_second_up_keeps_what_was_there_before_the_first(place: Layout, tools: Tools, forwarding: Path) -> None:
    network.up(tools, place)
    network.up(tools, place)
    network.down(tools, place)
    assert forwarding.read_text() == "0"
    assert commands(tools)


def test_after_a_reboot_the_network_that_is_there_is_another_clusters(
    place: Layout, tools: Tools, forwarding: Path, tmp_path: Path
) -> None:
    network.up(tools, place)
    boot(tmp_path, "second")
    commands(tools)
    network.down(tools, place)
    assert commands(tools) == []
    assert forwarding.read_text() == "1"
    assert not network.made(place)


def test_up_after_a_reboot_keeps_what_the_new_boot_has_set(
    place: Layout, tools: Tools, forwarding: Path, tmp_path: Path
) -> None:
    network.up(tools, place)
    boot(tmp_path, "second")
    forwarding.write_text("1 by the machine")
    network.up(tools, place)
    network.down(tools, place)
    assert forwarding.read_text() == "1 by the machine"
    assert commands(tools)
