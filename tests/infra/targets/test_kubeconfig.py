"""A kubeconfig that has not what an environment names is refused, by file, key, value and what to do."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.contract.problems import ConfigError, Source
from infra.contract.reading import positioned
from infra.targets.kubeconfig import require_context

STACK = "config:\n  stellwerk:cluster:\n    context: stellwerk\n"


def kubeconfig(file: Path, *names: str, clusters: bool = True) -> Path:
    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
        "clusters": [{"name": name, "cluster": {"server": "https://127.0.0.1:1"}} for name in names if clusters],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(document))
    return file


@pytest.fixture
def source() -> Source:
    return positioned(lambda: STACK, "stacks/Pulumi.dev.yaml", "stellwerk")


def refusal(source: Source, **environment: str) -> str:
    with pytest.raises(ConfigError) as raised:
        require_context("stellwerk", source, environment)
    return str(raised.value)


def test_the_context_may_be_in_any_file_of_the_list(source: Source, tmp_path: Path) -> None:
    files = [tmp_path / "absent", kubeconfig(tmp_path / "a", "other"), kubeconfig(tmp_path / "b", "stellwerk")]
    require_context("stellwerk", source, {"KUBECONFIG": os.pathsep.join(map(str, files))})


def test_the_default_is_the_file_in_the_home_folder(source: Source, tmp_path: Path) -> None:
    kubeconfig(tmp_path / ".kube" / "config", "stellwerk")
    require_context("stellwerk", source, {"HOME": str(tmp_path)})
    require_context("stellwerk", source, {"HOME": str(tmp_path), "KUBECONFIG": ""})


@pytest.mark.parametrize("given", ["absent", os.pathsep.join(["absent", "gone"])])
def test_a_file_that_is_not_there(given: str, source: Source) -> None:
    message = refusal(source, KUBECONFIG=given)
    assert f"KUBECONFIG={given}" in message and "no such file" in message and "stellwerk env" in message


def test_no_variable_and_no_file_at_home(source: Source, tmp_path: Path) -> None:
    assert str(tmp_path / ".kube" / "config") in refusal(source, HOME=str(tmp_path))


def test_another_context(source: Source, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", "stellwreck", "minikube")
    message = refusal(source, KUBECONFIG=str(file))
    assert message.startswith("stacks/Pulumi.dev.yaml:3: stellwerk:cluster.context")
    for part in ('"stellwerk"', "minikube, stellwreck", "did you mean stellwreck?", str(file)):
        assert part in message


@pytest.mark.parametrize("text", ["", "kind: Config\n", "contexts: null\n", "contexts: [1, {a: b}]\n"])
def test_a_file_without_contexts(text: str, source: Source, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    assert "none" in refusal(source, KUBECONFIG=str(file))


@pytest.mark.parametrize("content", [b"a: [1", b"- a\n- b\n", b"just text", b"\xff\xfe\x00", b"\x00\x01"])
def test_a_file_that_is_no_kubeconfig(content: bytes, source: Source, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)
    assert str(file) in refusal(source, KUBECONFIG=str(file))


def test_a_folder(source: Source, tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(source, KUBECONFIG=str(tmp_path))


def test_a_context_without_its_cluster(source: Source, tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", "stellwerk", clusters=False)
    message = refusal(source, KUBECONFIG=str(file))
    assert "without its cluster" in message and str(file) in message
