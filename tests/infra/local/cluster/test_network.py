"""The node's network is given back, and another cluster's is left alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.local.cluster import network
from infra.local.cluster.commands import Tools
from infra.local.cluster.layout import Layout


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was run, by name of the tool and its arguments."""
    ran: list[str] = []

    def run(command: Sequence[str | Path], *, stdin: str | None = None, check: bool = True) -> str:
        del stdin, check
        ran.append(" ".join([Path(command[0]).name, *map(str, command[1:])]))
        return "[]"

    monkeypatch.setattr(network, "run", run)
    return ran


@pytest.fixture
def forwarding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel's setting, off."""
    file = tmp_path / "sys" / "net" / "ipv4" / "ip_forward"
    file.parent.mkdir(parents=True)
    file.write_text("0\n")
    monkeypatch.setattr(network, "SYSTEM", tmp_path / "sys")
    boot(tmp_path, "first")
    return file


def boot(folder: Path, name: str) -> None:
    file = folder / "sys" / "kernel" / "random" / "boot_id"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{name}\n")


def test_down_takes_back_what_up_has_set(place: Layout, tools: Tools, commands: list[str], forwarding: Path) -> None:
    network.up(tools, place)
    assert forwarding.read_text() == "1"
    commands.clear()
    network.down(tools, place)
    assert forwarding.read_text() == "0"
    assert any(command.startswith("ip address delete") for command in commands)
    assert not network.made(place)


def test_a_second_up_keeps_what_was_there_before_the_first(
    place: Layout, tools: Tools, commands: list[str], forwarding: Path
) -> None:
    network.up(tools, place)
    network.up(tools, place)
    network.down(tools, place)
    assert forwarding.read_text() == "0"
    assert commands


def test_after_a_reboot_the_network_that_is_there_is_another_clusters(
    place: Layout, tools: Tools, commands: list[str], forwarding: Path, tmp_path: Path
) -> None:
    network.up(tools, place)
    boot(tmp_path, "second")
    commands.clear()
    network.down(tools, place)
    assert commands == []
    assert forwarding.read_text() == "1"
    assert not network.made(place)


def test_up_after_a_reboot_keeps_what_the_new_boot_has_set(
    place: Layout, tools: Tools, commands: list[str], forwarding: Path, tmp_path: Path
) -> None:
    network.up(tools, place)
    boot(tmp_path, "second")
    forwarding.write_text("1 by the machine")
    network.up(tools, place)
    network.down(tools, place)
    assert forwarding.read_text() == "1 by the machine"
    assert commands
