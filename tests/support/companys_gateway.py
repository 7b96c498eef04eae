"""A gateway of a company's: the real Traefik, which takes its routes from a cluster by Gateway API and Ingress."""

import base64
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.cluster.rights import GATEWAY_API
from delivery.operations import authority
from infra.local.toolchain.paths import view
from tests.support.tools import running, tool

NAME, NAMESPACE, LISTENER = "public", "edge", "https"


def definitions() -> list[dict[str, Any]]:
    """Return the definitions of Gateway API; skip the test where they are not there yet."""
    folder = view() / "manifests" / "gateway-api" / "crds"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not made yet: `make test` does it")
    made = [
        each for file in sorted(folder.glob("*.yaml")) for each in yaml.load_all(file.read_text(), yaml.CSafeLoader)
    ]
    return [document for document in made if document and document["kind"] == "CustomResourceDefinition"]


def gateway(port: int, pair: Mapping[str, str], label: str) -> list[dict[str, Any]]:
    """Return the objects of a Gateway with one listener, open to the namespaces that have a label."""
    place = {"namespace": NAMESPACE}
    files = {"tls.crt": pair["certificate"], "tls.key": pair["key"]}
    data = {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}
    listener = {
        "name": LISTENER, "port": port, "protocol": "HTTPS",
        "tls": {"mode": "Terminate", "certificateRefs": [{"name": "tls"}]},
        "allowedRoutes": {
            "namespaces": {
                "from": "Selector", "selector": {"matchExpressions": [{"key": label, "operator": "Exists"}]},
            }
        },
    }  # fmt: skip
    version = f"{GATEWAY_API}/v1"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", **place}, "type": "kubernetes.io/tls",
         "data": data},
        {"apiVersion": version, "kind": "GatewayClass", "metadata": {"name": "companys"},
         "spec": {"controllerName": "traefik.io/gateway-controller"}},
        {"apiVersion": version, "kind": "Gateway", "metadata": {"name": NAME, **place},
         "spec": {"gatewayClassName": "companys", "listeners": [listener]}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "companys"},
         "spec": {"controller": "traefik.io/ingress-controller"}},
    ]  # fmt: skip


@contextmanager
def traefik(kubeconfig: Path, address: str, port: int, log: Path) -> Iterator[None]:
    """Run Traefik for all Gateways of a cluster, listening on this address and port."""
    options = [
        f"--entryPoints.https.address={address}:{port}", "--entryPoints.https.http.tls=true",
        "--providers.kubernetesGateway=true", f"--providers.kubernetesGateway.statusAddress.ip={address}",
        "--providers.kubernetesIngress=true", "--providers.kubernetesIngress.ingressClass=companys",
        "--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--log.level=INFO",
    ]  # fmt: skip
    with running([tool("traefik"), *options], log, {**os.environ, "KUBECONFIG": str(kubeconfig)}):
        yield


def certified(host: str) -> tuple[str, dict[str, str]]:
    """Return an authority's certificate, and a key pair of it for a host."""
    certificate, key = authority.make_authority("company")
    return certificate, authority.sign(certificate, key, [host])


def own_address() -> str:
    """Return an address of this machine that is no loopback one: no endpoint of a Service may be that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent.
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this machine has no address but the loopback one")
        address: str = probe.getsockname()[0]
    return address


def endpoints(namespace: str, service: str, address: str, port: int) -> list[dict[str, Any]]:
    """Return a Service, and where it leads: to a process of this machine."""
    place = {"namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": service, **place},
         "spec": {"ports": [{"name": "http", "port": 80, "targetPort": port}]}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
         "metadata": {"name": service, **place, "labels": {"kubernetes.io/service-name": service}},
         "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
         "ports": [{"name": "http", "port": port, "protocol": "TCP"}]},
    ]  # fmt: skip
