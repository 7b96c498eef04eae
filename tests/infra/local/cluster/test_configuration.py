"""The node's configuration files and command lines."""

import configparser
import json
import shlex
import socket
import tomllib
import xmlrpc.client
from dataclasses import replace
from pathlib import Path

import certifi
import pytest
import yaml
from supervisor.xmlrpc import Faults

from infra.contract.versions import platform_image
from infra.local.cluster import addons, configuration, karpenter, lifecycle, preflight, supervision
from infra.local.cluster.commands import Tools
from infra.local.cluster.errors import ClusterError
from infra.local.cluster.layout import ADDRESS, Layout, state_directory
from infra.local.cluster.parts import parts
from infra.local.toolchain import machine
from infra.targets.needs import InstanceType, Needs


def test_every_path_of_the_runtime_is_inside_the_state_directory(place: Layout, tools: Tools) -> None:
    configuration.write(place, tools)
    containerd = tomllib.loads((place.config / "containerd.toml").read_text())
    runtime = containerd["plugins"]["io.containerd.cri.v1.runtime"]
    paths = [
        containerd["root"],
        containerd["state"],
        containerd["grpc"]["address"],
        runtime["cni"]["conf_dir"],
        json.loads((place.config / "cni" / "10-stellwerk.conflist").read_text())["plugins"][0]["ipam"]["dataDir"],
        yaml.safe_load((place.config / "kubelet.yaml").read_text())["podLogsDir"],
    ]
    assert [path for path in paths if not path.startswith(str(place.root))] == []
    assert runtime["restrict_oom_score_adj"] is True


def test_images_of_the_node_s_own_are_asked_of_no_registry(place: Layout, tools: Tools) -> None:
    """That of a mirror has the same content, and whoever has pulled it by a login needs none for the node's own."""
    configuration.write(place, tools)
    kubelet = yaml.safe_load((place.config / "kubelet.yaml").read_text())
    assert kubelet["imagePullCredentialsVerificationPolicy"] == "NeverVerifyAllowlistedImages"
    assert kubelet["preloadedImagesVerificationAllowlist"] == [platform_image("traefik").partition("/")[0] + "/*"]


def test_nothing_listens_beyond_the_node(place: Layout, tools: Tools) -> None:
    words = " ".join(word for part in parts(place, tools) for word in part.command)
    assert "0.0.0.0" not in words
    assert f"--bind-address={ADDRESS}" in words
    kubelet = configuration._kubelet(place)
    assert kubelet["address"] == ADDRESS
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}


def test_the_api_server_authorises_nodes_and_roles_only(place: Layout, tools: Tools) -> None:
    command = next(part.command for part in parts(place, tools) if part.name == "kube-apiserver")
    assert "--authorization-mode=Node,RBAC" in command
    assert "--anonymous-auth=false" in command


def test_the_same_state_directory_gives_the_same_files(place: Layout, tools: Tools) -> None:
    def written() -> dict[str, bytes]:
        configuration.write(place, tools)
        supervision.write(place, parts(place, tools), Path("/usr/bin/setpriv"))
        return {str(path): path.read_bytes() for path in place.config.rglob("*") if path.is_file()}

    assert written() == written()


def test_a_part_whose_configuration_changes_is_started_again(place: Layout, tools: Tools) -> None:
    """supervisord compares command line and environment: another content of the same file would go unnoticed."""

    def environments() -> dict[str, dict[str, str]]:
        return {part.name: part.environment for part in parts(place, tools)}

    configuration.write(place, tools)
    before = environments()
    assert environments() == before
    files = {
        "kubelet": "kubelet.yaml", "kube-proxy": "kube-proxy.yaml", "coredns": "Corefile",
        "kube-apiserver": "admission.yaml", "containerd": "containerd.toml", "buildkitd": "buildkitd.toml",
        "local-path-provisioner": "local-path.json",
    }  # fmt: skip
    for name, file in files.items():
        (place.config / file).write_text("changed")
        after = environments()
        assert {part for part in after if after[part] != before[part]} == {name}
        before = after


TYPE = InstanceType("gpu-one", {"cpu": "16", "nvidia.com/gpu": "1"}, {"on-demand": 2.5, "spot": 0.9})


def test_the_autoscaler_runs_where_there_are_elastic_pools_alone(place: Layout, tools: Tools) -> None:
    assert "karpenter" not in [part.name for part in parts(place, tools)]
    (tools.bin / "karpenter").unlink()
    parts(place, tools)
    with pytest.raises(ClusterError, match="karpenter: not found"):
        parts(place, tools, elastic=True)


def test_the_autoscaler_is_started_again_for_another_price(place: Layout, tools: Tools) -> None:
    def environment(each: InstanceType) -> dict[str, str]:
        (place.config / karpenter.FILE).write_text(karpenter.catalogue([each]))
        return next(part for part in parts(place, tools, elastic=True) if part.name == "karpenter").environment

    before = environment(TYPE)
    assert environment(TYPE) == before
    assert environment(replace(TYPE, prices={"on-demand": 3.0})) != before


def test_the_autoscaler_s_catalogue_has_an_offering_for_each_price() -> None:
    (entry,) = json.loads(karpenter.catalogue([TYPE]))
    assert (entry["name"], entry["resources"]) == (TYPE.name, TYPE.resources)
    offered = {offering["Requirements"][0]["values"][0]: offering["Price"] for offering in entry["offerings"]}
    assert offered == TYPE.prices


def test_a_command_reaches_the_supervisor_in_the_words_it_has(place: Layout, tools: Tools) -> None:
    written = parts(place, tools, elastic=True)
    file = configparser.RawConfigParser()
    file.read(supervision.write(place, written, Path("/usr/bin/setpriv")))
    for part in written:
        assert shlex.split(file[f"program:{part.name}"]["command"])[4:] == part.command


def test_a_missing_tool_is_named(place: Layout, tools: Tools) -> None:
    (tools.bin / "kubelet").unlink()
    with pytest.raises(ClusterError, match=r"kubelet: not found; run `stellwerk doctor`"):
        parts(place, tools)


def test_a_taken_port_is_reported_before_anything_starts(place: Layout) -> None:
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(ClusterError, match=rf"port {port}: taken, wanted for image registry"):
            preflight.check(place, Needs(ports={port: "image registry"}))


def test_without_root_the_message_says_what_to_do(place: Layout) -> None:
    with pytest.raises(ClusterError, match="need root"):
        preflight.check(place, Needs(), host=machine.Host(user=1000))


def test_the_state_directory_follows_the_environment(tmp_path: Path) -> None:
    given = {"XDG_STATE_HOME": str(tmp_path)}
    assert state_directory(given) == tmp_path / "stellwerk"
    assert state_directory({**given, "STELLWERK_STATE": str(tmp_path / "own")}) == tmp_path / "own"


def test_another_cluster_is_reported(place: Layout) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(ClusterError, match="another local cluster runs on this machine"):
            preflight.check(place, Needs(), api=listener.getsockname())


def test_the_network_of_another_cluster_is_left_alone(place: Layout, tools: Tools) -> None:
    calls = place.root.parent / "calls"
    for name in ("ip", "nft"):
        (tools.bin / name).write_text(f'#!/bin/sh\necho "$0 $*" >>{calls}\n')
    (tools.bin / "ctr").symlink_to("/bin/true")
    lifecycle.down(place, tools, lambda _: None)
    assert not calls.exists()
    assert not place.root.exists()


def test_the_node_trusts_the_registry_that_runs_there(place: Layout, tools: Tools) -> None:
    configuration.write(place, tools, "registry.example:5000")
    (hosts,) = place.certs_d.glob("*/hosts.toml")
    assert tomllib.loads(hosts.read_text())["server"] == "https://registry.example:5000"
    builder = tomllib.loads((place.config / "buildkitd.toml").read_text())
    assert builder["registry"] == {"registry.example:5000": {"ca": [str(place.registry_ca)]}}


def test_what_builds_have_made_outlives_the_cluster(tmp_path: Path, tools: Tools) -> None:
    place = Layout(tmp_path / "state", build_cache=tmp_path / "cache" / "buildkit")
    place.make()
    configuration.write(place, tools)
    builder = tomllib.loads((place.config / "buildkitd.toml").read_text())
    assert builder["root"] == str(tmp_path / "cache" / "buildkit")
    # containerd's store goes with the cluster, so its worker would lose everything.
    assert [name for name, worker in builder["worker"].items() if worker["enabled"]] == ["oci"]


def test_without_a_registry_nothing_is_trusted(place: Layout, tools: Tools) -> None:
    configuration.write(place, tools)
    assert list(place.certs_d.iterdir()) == []
    assert "registry" not in tomllib.loads((place.config / "buildkitd.toml").read_text())


def test_image_builds_are_given_the_authorities_that_are_not_public() -> None:
    own = "-----BEGIN CERTIFICATE-----\nQ29tcGFueSBDQQ==\n-----END CERTIFICATE-----\n"
    public = certifi.contents()
    assert lifecycle.own_authorities(f"{public}\n# of the company\n{own}") == [own]
    wrapped = public.replace("\n", "\r\n")
    assert lifecycle.own_authorities(wrapped) == [], "the same certificates, with other ends of lines"
    assert lifecycle.own_authorities("") == []


def test_an_authority_that_was_added_to_certifi_as_well_is_the_machine_s_own() -> None:
    public = certifi.contents()
    added = (
        public[public.index("-----BEGIN") : public.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    )
    assert lifecycle.own_authorities(public, added.replace("\n", "\r\n")) == [added]
    assert lifecycle.own_authorities("", added) == []


def test_pods_reach_no_port_that_only_this_node_needs(place: Layout, tools: Tools) -> None:
    """What pods may ask are the API server, the kubelet (with a certificate), DNS and the services' node ports."""
    configuration.write(place, tools)
    commands = {part.name: part.command for part in parts(place, tools)}
    kubelet = configuration._kubelet(place)
    assert kubelet["healthzPort"] == 0
    assert "readOnlyPort" not in kubelet, "its default is 0: off"
    proxy = configuration._kube_proxy(place)
    assert proxy["metricsBindAddress"] == "127.0.0.1:10249"
    assert proxy["healthzBindAddress"] == "127.0.0.1:10256"
    assert "--server-address=127.0.0.1:10247" in commands["kwok"]
    for name in ("kube-controller-manager", "kube-scheduler"):
        assert "--bind-address=127.0.0.1" in commands[name]
    corefile = (place.config / "Corefile").read_text()
    assert [line for line in corefile.splitlines() if ADDRESS in line] == [f"    bind {ADDRESS}"]


def test_a_pod_cannot_use_up_the_node_s_process_ids(place: Layout) -> None:
    assert 256 <= configuration._kubelet(place)["podPidsLimit"] <= 4096


def test_a_helper_pod_is_root_with_two_rights_and_nothing_else() -> None:
    (container,) = yaml.safe_load(addons.helper_pod())["spec"]["containers"]
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False


def test_a_part_that_is_being_brought_back_is_not_started_again() -> None:
    """supervisord and `cluster up` may both see that it has ended."""

    class Server:
        def __init__(self, code: int) -> None:
            self.code = code

        def startProcess(self, name: str, wait: bool) -> None:
            raise xmlrpc.client.Fault(self.code, name)

    supervision._start(Server(Faults.ALREADY_STARTED), "kube-proxy")
    with pytest.raises(xmlrpc.client.Fault):
        supervision._start(Server(Faults.SPAWN_ERROR), "kube-proxy")


def test_a_socket_that_a_killed_part_has_left_does_not_count(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as part:
        part.bind(str(tmp_path / "x.sock"))
        part.listen()
        assert lifecycle.listens(tmp_path / "x.sock")
    assert (tmp_path / "x.sock").exists()
    assert not lifecycle.listens(tmp_path / "x.sock")
    assert not lifecycle.listens(tmp_path / "none.sock")
