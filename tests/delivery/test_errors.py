"""No expected error of any room reaches a user as a traceback."""

import ast
import errno
import importlib
import json
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from delivery.clients import endpoint
from delivery.errors import DeliveryError, not_runnable
from delivery.failures import report_unexpected
from infra.contract.errors import StellwerkError
from infra.contract.release import Releases
from infra.values import ROOT
from tests.support.checkout import MODEL, SECOND, Checkout, write_release
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Command, Words

ROOMS = ("delivery", "infra")


def defined() -> list[tuple[str, str]]:
    """Return module and name of every error class of the rooms that the command runs."""
    classes = []
    for file in sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
                classes.append((module, node.name))
    return classes


def fail(stellwerk: Command, bench: Bench, error: BaseException) -> tuple[int, str]:
    """Return the exit code and what a user sees of an error in an operation."""

    def raising(*_: object) -> httpx.Response:
        raise error

    bench.respond = raising
    code, out, err = stellwerk("status")
    assert out == ""
    assert "Traceback" not in err
    return code, err


def test_every_error_of_the_command_is_an_expected_one() -> None:
    kinds = [getattr(importlib.import_module(module), name) for module, name in defined()]
    assert {"DeliveryError", "ConfigError", "ClusterError", "ToolchainError"} <= {kind.__name__ for kind in kinds}
    assert [kind for kind in kinds if not issubclass(kind, StellwerkError)] == []


def test_an_expected_error_is_its_message(stellwerk: Command, bench: Bench) -> None:
    assert fail(stellwerk, bench, StellwerkError("what happened")) == (1, "error: what happened\n")


def saved(err: str) -> Path:
    """Return the file that the one line of an unexpected error names."""
    assert err.count("\n") == 1
    return Path(err.strip().rpartition("its traceback, ")[2])


def test_an_unexpected_error_is_one_line_and_a_file(
    stellwerk: Command, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    password = "".join(("hun", "ter2"))

    def broken(_: str, __: object) -> httpx.Response:
        secret = password
        raise ZeroDivisionError(f"a message\nof two lines [red]{len(secret)}[/red]")

    bench.respond = broken
    code, out, err = stellwerk("status")
    assert (code, out) == (70, "")
    assert err.startswith("unexpected error: ZeroDivisionError: a message of two lines [red]7[/red]; ")
    file = saved(err)
    assert file.parent == state
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert "Traceback (most recent call last)" in text
    assert "in broken" in text
    assert password not in text


def test_without_a_state_directory_the_traceback_is_a_temporary_file(
    stellwerk: Command, bench: Bench, tmp_path: Path
) -> None:
    code, err = fail(stellwerk, bench, OSError("x" * 1000))
    file = saved(err)
    assert (code, file.parent) == (70, Path(tempfile.gettempdir()))
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "state").exists(), "a failure makes no state directory"
    assert "x" * 1000 in file.read_text()
    assert len(err) < 600, "the line stays a line"
    file.unlink()


def test_a_traceback_that_cannot_be_saved_is_still_one_line(words: Words, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folders = (tmp_path / "absent", tmp_path / "file")
    assert report_unexpected(KeyError("models"), folders, words.console) == 70
    assert words.stream.getvalue() == (
        "unexpected error: KeyError: 'models'; this is a defect of the command: "
        "report it; its traceback could not be saved\n"
    )


def test_ctrl_c_is_no_error(stellwerk: Command, bench: Bench) -> None:
    assert fail(stellwerk, bench, KeyboardInterrupt()) == (130, "")


def test_an_endpoint_of_the_object_store_that_is_none_is_named(
    stellwerk: Command, project: Checkout, pulumi: FakeEngine
) -> None:
    pulumi.secrets["dev"] = json.dumps({"objectStore": {"accessKey": "a", "secretKey": "s"}})
    store = {"mode": "external", "endpoint": "https://two words", "bucket": "models"}
    project.edit("dev", lambda config: config.update(objectStore=store))
    code, out, err = stellwerk("release", MODEL, "--job", "any")
    assert (code, out) == (1, "")
    assert err == (
        "error: object store of dev (https://two words): Invalid endpoint: https://two words; "
        "correct stellwerk:objectStore in stacks/Pulumi.dev.yaml\n"
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [(httpx.ConnectError("refused"), "no answer (refused)"), (httpx.InvalidURL("no host"), "no answer (no host)")],
)
def test_an_endpoint_that_is_not_reached_is_named(error: Exception, said: str) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        raise error

    target = endpoint.Endpoint("https://gateway/v2/models/digits", ssl.create_default_context())
    with httpx.Client(transport=httpx.MockTransport(respond)) as client:
        assert endpoint.answering_release(target, client) is None
        with pytest.raises(DeliveryError) as failed:
            endpoint.ask(client, target, b"{}", "1")
    assert str(failed.value) == f"{target.url}: {said}; see `stellwerk status`"


@pytest.mark.parametrize("tool", ["pulumi", "kubectl"])
def test_a_tool_that_cannot_be_started_names_the_doctor(tool: str) -> None:
    missing, refused = FileNotFoundError(), PermissionError(errno.EACCES, "Permission denied")
    assert str(not_runnable(tool, missing)) == f"{tool}: not found; run `stellwerk doctor` to see how to get it"
    assert "cannot be run: Permission denied; run `stellwerk doctor`" in str(not_runnable(tool, refused))


def test_a_model_without_example_rows_says_what_to_do(
    stellwerk: Command, project: Checkout, releases: Releases
) -> None:
    """The case of the report: `stellwerk predict letters`."""
    write_release(releases, "letters", SECOND)
    project.edit("prod", lambda config: config["models"].update(letters={"release": SECOND, "previous": None}))
    code, out, err = stellwerk("predict", "letters", "--env", "prod")
    assert (code, out) == (1, "")
    assert err == (
        f"error: release {SECOND} of letters has no example rows: it was made before training published them; ask with "
        "a request of your own, `stellwerk predict letters --env prod --input request.json`, or train and release the "
        "model again\n"
    )


@pytest.mark.parametrize("credentials", ["{}", '{"objectStore": {"accessKey": "a"}}', "[]", "no JSON"])
def test_credentials_without_the_stores_keys_name_the_command(
    credentials: str, stellwerk: Command, pulumi: FakeEngine
) -> None:
    pulumi.secrets["dev"] = credentials
    assert stellwerk("release", MODEL, "--job", "any") == (
        1, "", "error: stacks/Pulumi.dev.yaml: stellwerk:credentials has no keys of stellwerk:objectStore; "
        "run `stellwerk init dev`\n",
    )  # fmt: skip


def test_a_certificate_that_is_none_is_named(stellwerk: Command, project: Checkout) -> None:
    text = "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"
    project.edit("prod", lambda config: config.update(caCertificate=text))
    code, _, err = stellwerk("status")
    assert code == 1
    assert err.startswith("error: stacks/Pulumi.prod.yaml: stellwerk:caCertificate cannot be read")


@pytest.mark.parametrize("content", [b"config: \xff\n", b"config: \x01\n"])
def test_a_stack_file_that_is_not_text_is_named(content: bytes, stellwerk: Command, project: Checkout) -> None:
    project.file("prod").write_bytes(content)
    code, _, err = stellwerk("rollback", MODEL, "--env", "prod")
    assert code == 1
    assert err.startswith("error: stacks/Pulumi.prod.yaml")


def test_a_pipe_that_is_closed_is_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m delivery.cli env | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
