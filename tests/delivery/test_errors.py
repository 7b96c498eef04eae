"""No expected error of any room reaches a user as a traceback."""

import ast
import errno
import importlib
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from infra.values import ROOT
from tests.delivery.conftest import MODEL, SECOND, Engine, Project
from tests.delivery.test_cli import Command, stellwerk

__all__ = ["stellwerk"]
ROOMS = ("components", "delivery", "infra", "serving", "training")


def defined() -> list[tuple[str, str]]:
    """Module and name of every class that is called an error."""
    found = []
    for file in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
                found.append((module, node.name))
    return found


def test_there_are_errors_to_walk() -> None:
    names = {name for _, name in defined()}
    assert {"DeliveryError", "ConfigError", "ClusterError", "ToolchainError", "TrainingError", "StartError"} <= names


def fail(stellwerk: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> str:
    """What a user sees of it."""

    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr("delivery.operations.status.status", raising)
    code, out, err = stellwerk("status")
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize(("module", "name"), defined())
def test_every_error_of_the_project_is_one_message(
    module: str, name: str, stellwerk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = getattr(importlib.import_module(module), name)
    assert fail(stellwerk, monkeypatch, kind("what happened")) == "error: what happened\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (httpx.ConnectError("refused"), "error: refused\n"),
        (httpx.InvalidURL("no host"), "error: no host\n"),
        (ssl.SSLError(1, "[X509] no certificate"), "error: [X509] no certificate\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "stacks/x.yaml"),
            "error: stacks/x.yaml: Permission denied\n",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device\n"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject"), "error: An error occurred"),
        (EndpointConnectionError(endpoint_url="https://s3"), "error: Could not connect to the endpoint URL"),
        (subprocess.CalledProcessError(3, ["uv", "pip"]), "error: Command '['uv', 'pip']' returned non-zero exit"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_the_edges_are_one_message(
    error: BaseException, message: str, stellwerk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fail(stellwerk, monkeypatch, error).startswith(message)


def test_a_bug_stays_a_traceback(stellwerk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(stellwerk, monkeypatch, ZeroDivisionError())


def test_a_model_without_a_data_set_is_told(
    stellwerk: Command, project: Project, releases: object, pulumi: Engine
) -> None:
    """The case of the report: `stellwerk predict letters`."""
    folder = project.root / "stacks" / "releases"
    text = (folder / MODEL / f"{SECOND}.yaml").read_text()
    (folder / "letters").mkdir()
    (folder / "letters" / f"{SECOND}.yaml").write_text(text.replace(f"model: {MODEL}", "model: letters").replace(
        f"key: {MODEL}/", "key: letters/"))  # fmt: skip
    project.edit("prod", lambda config: config["models"].update(letters={"release": SECOND, "previous": None}))
    code, out, err = stellwerk("predict", "letters", "--env", "prod")
    assert (code, out) == (1, "")
    assert err == (
        "error: letters has no data set of its own (known are: digits), so there are no held-out rows to ask with; "
        "ask with a request of your own: `stellwerk predict letters --env … --input request.json`\n"
    )


@pytest.mark.parametrize("credentials", ["{}", '{"objectStore": {"accessKey": "a"}}', "[]", "no JSON"])
def test_credentials_without_the_stores_keys_name_the_command(
    credentials: str, stellwerk: Command, pulumi: Engine
) -> None:
    pulumi.secrets["dev"] = credentials
    assert stellwerk("release", MODEL, "--job", "any") == (
        1, "", "error: stacks/Pulumi.dev.yaml: stellwerk:credentials has no keys of the object store; "
        "run `stellwerk init dev`\n",
    )  # fmt: skip


def test_a_certificate_that_is_none_is_named(stellwerk: Command, project: Project) -> None:
    text = "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"
    project.edit("prod", lambda config: config.update(caCertificate=text))
    code, _, err = stellwerk("predict", MODEL, "--env", "prod")
    assert code == 1
    assert err.startswith("error: stacks/Pulumi.prod.yaml: stellwerk:caCertificate cannot be read")


@pytest.mark.parametrize("content", [b"config: \xff\n", b"config: \x01\n"])
def test_a_stack_file_that_is_not_text_is_named(content: bytes, stellwerk: Command, project: Project) -> None:
    project.file("prod").write_bytes(content)
    code, _, err = stellwerk("rollback", MODEL, "--env", "prod")
    assert code == 1
    assert err.startswith("error: stacks/Pulumi.prod.yaml")


def test_a_pipe_that_is_closed_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m delivery.cli env | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
