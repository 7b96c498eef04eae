"""Bringing the node up, reporting its state, taking it away."""

import os
import re
import shutil
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import certifi

from infra.contract.versions import version
from infra.local.cluster import addons, cleanup, configuration, images, karpenter, network, pki, supervision
from infra.local.cluster.commands import Tools, kubectl
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import ADDRESS, API_PORT, Layout
from infra.local.cluster.parts import parts
from infra.local.cluster.preflight import check
from infra.targets.needs import Needs

Progress = Callable[[str], None]
# Where Debian's update-ca-certificates takes the administrator's own from.
_ADDED = Path("/usr/local/share/ca-certificates")


def up(layout: Layout, tools: Tools, needs: Needs, progress: Progress) -> None:
    """Start what is missing, restart what changed; a second run changes nothing.

    Raises ClusterError before anything starts when the machine lacks something.
    """
    if not supervision.states(layout):
        check(layout, needs)
        cleanup.kill_leftovers(layout)
    layout.make()
    progress("network")
    network.up(tools, layout)
    progress("certificates")
    elastic = bool(needs.instance_types)
    pki.create(tools, layout, f"v{version('kubernetes')}", elastic=elastic)
    configuration.write(layout, tools, needs.registry)
    (layout.config / "helper-pod.yaml").write_text(addons.helper_pod())
    (layout.config / karpenter.FILE).write_text(karpenter.catalogue(needs.instance_types))
    _build_secrets(layout)
    progress("processes")
    configured = supervision.write(layout, parts(layout, tools, elastic=elastic), tools.path("setpriv"))
    supervision.start(layout, configured)
    with ThreadPoolExecutor(1) as beside:
        # It needs nothing of the API server.
        built = beside.submit(_build_images, layout, tools, progress)
        progress("API server")
        _wait(layout, "the API server", lambda: kubectl(tools, layout, "get", "--raw", "/readyz", check=False) == "ok")
        progress("storage class and rights")
        addons.apply(tools, layout, elastic=elastic)
        built.result()
    if elastic:
        progress("autoscaler of nodes")
        _wait(layout, karpenter.NAME, karpenter.ready)
    else:
        karpenter.leave(tools, layout)
    progress("node")
    ready = '{.status.conditions[?(@.type=="Ready")].status}'
    _wait(
        layout,
        "the node",
        lambda: kubectl(tools, layout, "get", "node", "stellwerk", "-o", f"jsonpath={ready}", check=False) == "True",
    )


def _build_images(layout: Layout, tools: Tools, progress: Progress) -> None:
    # What a killed node has left of a socket is there, and nobody listens.
    for name, place in (("containerd", layout.containerd_socket), ("BuildKit", layout.buildkit_socket)):
        _wait(layout, name, partial(listens, place))
    images.build(tools, layout, progress)


def listens(place: Path) -> bool:
    """Return whether somebody answers at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(place)) == 0


def _wait(layout: Layout, what: str, done: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            stopped = {
                name: info["state"] for name, info in supervision.states(layout).items() if info["state"] != "RUNNING"
            }
            raise ClusterError(
                f"{what} is not ready after {seconds:.0f} s; not running: {stopped or 'none'}; logs in {layout.logs}"
            )
        time.sleep(0.3)


def _build_secrets(layout: Layout) -> None:
    """Write what an image build needs to reach its package indexes: the machine's own CAs, pip and apt settings."""
    bundle = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    added = "".join(file.read_text() for file in sorted(_ADDED.glob("*.crt")))
    own = own_authorities(bundle.read_text() if bundle.exists() else "", added)
    (layout.build_secrets / "ca.crt").write_text("".join(own))
    pip = Path(os.environ.get("PIP_CONFIG_FILE", "/etc/pip.conf"))
    lines = pip.read_text().splitlines() if pip.exists() else []
    # Paths of this machine mean nothing inside a build.
    kept = [line for line in lines if not line.replace(" ", "").startswith(("cert=", "find-links="))]
    (layout.build_secrets / "pip.conf").write_text("\n".join(kept) + "\n")
    for source in (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")):
        if source.exists() and "bookworm" in source.read_text():
            shutil.copy(source, layout.build_secrets / "apt.sources")
            break


def own_authorities(bundle: str, added: str = "") -> list[str]:
    """Return the certificates (PEM) of `bundle` that are not public: every base image trusts the public ones already.

    A whole bundle is some 200 KB, and would stand in the state of every image. What the administrator has `added` is
    never public: who adds it to the system's authorities often adds it to certifi's as well.
    """

    def split(text: str) -> dict[str, str]:
        certificates = re.findall("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", text, re.DOTALL)
        return {"".join(pem.split()): pem for pem in certificates}

    public = split(certifi.contents()).keys() - split(added).keys()
    return [pem for key, pem in split(bundle).items() if key not in public]


def status(layout: Layout, tools: Tools) -> dict[str, Any]:
    """Return processes by name, the nodes and the pods that are not well. `running` is False when nothing runs."""
    states = supervision.states(layout)
    result: dict[str, Any] = {"running": bool(states), "state_directory": str(layout.root), "processes": states}
    if states:
        columns = "NAME:.metadata.name,READY:.status.conditions[?(@.type=='Ready')].status"
        listing = kubectl(tools, layout, "get", "nodes", "--no-headers", "-o", f"custom-columns={columns}", check=False)
        result["nodes"] = {name: ready == "True" for name, ready in (line.split() for line in listing.splitlines())}
        pods = kubectl(tools, layout, "get", "pods", "-A", "--no-headers", check=False).splitlines()
        well = ("Running", "Completed")
        result["pods"] = len(pods)
        result["pods_not_well"] = [" ".join(pod.split()[:4]) for pod in pods if pod.split()[3] not in well]
        result["api_server"] = f"https://{ADDRESS}:{API_PORT}"
    return result


def down(layout: Layout, tools: Tools, progress: Progress, *, keep_data: bool = False) -> None:
    """Remove every process, mount, interface, address and rule, and the data unless `keep_data`."""
    progress("node and control plane")
    # The pods end by containerd; what the API server writes last goes to etcd.
    last = ("etcd", "containerd")
    supervision.stop(layout, [name for name in supervision.states(layout) if name not in last])
    progress("pods")
    cleanup.kill_pods(tools, layout)
    progress("processes")
    supervision.shutdown(layout)
    cleanup.kill_leftovers(layout)
    if network.made(layout):
        progress("mounts, network, control groups")
        cleanup.unmount(layout)
        network.down(tools, layout)
        cleanup.remove_cgroups()
        cleanup.remove_outside(layout)
        cleanup.remove_log_links(layout)
    if not keep_data:
        progress("data")
        cleanup.remove_data(layout.root)
