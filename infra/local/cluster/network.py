"""The node's address, forwarding and masquerading, and taking all of it away again."""

import json
from pathlib import Path

from infra.local.cluster.commands import Tools, run
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import ADDRESS, BRIDGE, POD_SUBNET, TABLE, Layout

SETTINGS = {
    "net/ipv4/ip_forward": "1",
    # Without it replies between pods of one node bypass the Service translation.
    "net/bridge/bridge-nf-call-iptables": "1",
}
_NFT = f"""\
table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {POD_SUBNET} ip daddr != {POD_SUBNET} oifname != "{BRIDGE}" masquerade
  }}
}}
"""
# What kube-proxy's nftables mode creates.
_PROXY_TABLES = ("ip kube-proxy", "ip6 kube-proxy")


def _addresses(tools: Tools) -> dict[str, str]:
    """Return the IPv4 addresses of the machine and the interface of each."""
    links = json.loads(run([tools.path("ip"), "-json", "-4", "address"]))
    return {entry["local"]: link["ifname"] for link in links for entry in link.get("addr_info", [])}


def up(tools: Tools, layout: Layout) -> None:
    """Make what is missing; raise ClusterError when the node's address belongs to another interface."""
    present = _addresses(tools)
    if present.get(ADDRESS, "lo") != "lo":
        raise ClusterError(
            f"{ADDRESS} belongs to interface {present[ADDRESS]}; remove it from that interface to use the local cluster"
        )
    if ADDRESS not in present:
        run([tools.path("ip"), "address", "add", f"{ADDRESS}/32", "dev", "lo"])
    if _settings_before(layout) is None:
        before = {key: _setting(layout, key).read_text().strip() for key in SETTINGS if _setting(layout, key).exists()}
        _saved(layout).write_text(json.dumps({"boot": _boot(layout), "settings": before}))
    for key, value in SETTINGS.items():
        if _setting(layout, key).exists():
            _setting(layout, key).write_text(value)
    run([tools.path("nft"), "-f", "-"], stdin=_NFT)


def made(layout: Layout) -> bool:
    """Return whether this state directory has made a node's network; else it may be another cluster's."""
    return _saved(layout).exists()


def down(tools: Tools, layout: Layout) -> None:
    """Remove the rules, the bridge with its pairs, and the address; put the settings back.

    A reboot has done so already: a network that exists after it belongs to another cluster.
    """
    before = _settings_before(layout)
    if before is not None:
        for table in (f"ip {TABLE}", *_PROXY_TABLES):
            run([tools.path("nft"), "delete", "table", *table.split()], check=False)
        run([tools.path("ip"), "link", "delete", BRIDGE], check=False)
        run([tools.path("ip"), "address", "delete", f"{ADDRESS}/32", "dev", "lo"], check=False)
        for key, value in before.items():
            _setting(layout, key).write_text(value)
    _saved(layout).unlink()


def _settings_before(layout: Layout) -> dict[str, str] | None:
    """Return the settings as they were before `up`; None when that was not since the machine's start."""
    if not made(layout):
        return None
    saved = json.loads(_saved(layout).read_text())
    settings: dict[str, str] = saved["settings"]
    return settings if saved["boot"] == _boot(layout) else None


def _saved(layout: Layout) -> Path:
    return layout.run / "network.json"


def _boot(layout: Layout) -> str:
    return _setting(layout, "kernel/random/boot_id").read_text().strip()


def _setting(layout: Layout, key: str) -> Path:
    return layout.kernel / key
