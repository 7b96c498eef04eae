"""The exported state: no secret value is in it, and a preview takes it for the stack's."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from delivery.errors import DeliveryError
from delivery.operations.exported_state import export, read
from infra.composition.assumed import REMOVED, KnownSecret
from infra.targets.variables import POD_LOGS
from tests.program.harness import SECRET, SENTINEL, SIGNATURE, stack_values
from tests.support.checkout import Checkout
from tests.support.engine import FakeEngine
from tests.support.session import Bench, Command

PASSWORD = f"{SENTINEL}-registry"


def hidden(value: Any) -> dict[str, str]:
    """Return a secret value as the engine shows it who asks for it."""
    return {SIGNATURE: SECRET, "plaintext": json.dumps(value)}


class Shown(FakeEngine):
    """An engine that shows secrets to who asks for them."""

    held: tuple[Mapping[str, Any], ...] = ()

    def run(self, *arguments: str, stdin: str | None = None, variables: Mapping[str, str] | None = None) -> str:
        if "--show-secrets" not in arguments:
            return super().run(*arguments, stdin=stdin, variables=variables)
        deployment = {"resources": self.held, "secrets_providers": {"type": "passphrase", "state": {"salt": "s"}}}
        pending = [{"resource": {"inputs": {"a": hidden(f"{SENTINEL}-pending")}}}]
        return json.dumps({"version": 3, "deployment": {**deployment, "pending_operations": pending}})


@pytest.fixture
def engine(bench: Bench, project: Checkout) -> Shown:
    made = Shown(project, bench.engine.variables, bench.clock)
    bench.engine = made
    made.known.add("prod")
    made.secrets["prod"] = json.dumps(stack_values("prod")["credentials"])
    return made


def resource(name: str, kind: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    urn = f"urn:pulumi:prod::stellwerk::{kind}::{name}"
    return {"urn": urn, "type": kind, "inputs": inputs, "outputs": outputs}


def test_no_secret_value_is_in_it(engine: Shown, stellwerk: Command, tmp_path: Path) -> None:
    meta = {"name": "login-12345678"}
    data = hidden({"a": "c2VudGluZWwtc2VjcmV0", "b": SENTINEL})
    # Whoever wrote this one has marked nothing.
    plain = {"metadata": {"name": "plain"}, "stringData": {"c": SENTINEL}}
    image = {"registries": [{"address": "r.test", "password": hidden(PASSWORD)}], "secrets": hidden({"ca": SENTINEL})}
    made = {
        **image,
        "deep": [hidden([1, {"x": SENTINEL, "y": ""}])],
        "unreadable": {SIGNATURE: SECRET, "ciphertext": "v1"},
    }
    engine.held = (
        resource("login", "kubernetes:core/v1:Secret", {"metadata": meta, "data": data}, {"__inputs": {"data": data}}),
        resource("plain", "kubernetes:core/v1:Secret", plain, plain),
        resource("image", "docker-build:index:Image", image, made),
    )
    assert stellwerk("ci", "export", "prod", "--output", str(tmp_path)) == (0, f"{tmp_path}/prod.json\n", "")
    text = (tmp_path / "prod.json").read_text()
    assert [SENTINEL in text, "c2VudGluZWw" in text, SIGNATURE in text, "salt" in text] == [False] * 4
    last = read(tmp_path / "prod.json")
    assert last.secrets() == {
        "login": KnownSecret("login-12345678", ("a", "b")),
        "plain": KnownSecret("plain", ("c",)),
    }
    login, _, built = last.state["deployment"]["resources"]
    assert login["inputs"]["data"] == login["outputs"]["__inputs"]["data"] == dict.fromkeys("ab", "cmVtb3ZlZA==")
    assert built["outputs"]["registries"] == [{"address": "r.test", "password": REMOVED}]
    assert built["outputs"]["deep"] == [[REMOVED, {"x": REMOVED, "y": ""}]]
    assert last.credentials["registry"] == {"username": "prod", "password": REMOVED}
    assert last.credentials["tls"]["gateway"]["key"] == REMOVED
    assert "BEGIN CERTIFICATE" in last.credentials["tls"]["gateway"]["certificate"]
    assert "caKey" not in last.credentials, "no service of the program needs it"


def test_a_secret_that_nobody_has_marked_is_refused(engine: Shown, stellwerk: Command, tmp_path: Path) -> None:
    settings = {"data": {"config": f"login: {PASSWORD}"}}
    engine.held = (resource("settings", "kubernetes:core/v1:ConfigMap", settings, settings),)
    code, out, err = stellwerk("ci", "export", "prod", "--output", str(tmp_path / "made"))
    assert (code, out, PASSWORD in err) == (1, "", False)
    assert "a secret value, registry.password, stands in clear in the state" in err
    assert not (tmp_path / "made").exists()


def test_a_stack_that_nobody_has_made_is_refused(engine: Shown, stellwerk: Command, tmp_path: Path) -> None:
    code, _, err = stellwerk("ci", "export", "test", "--output", str(tmp_path))
    assert code == 1
    assert "run `stellwerk init test`" in err


@pytest.mark.parametrize(("context", "expected"), [("stellwerk", "/here/pod-logs"), ("company", None)])
def test_where_the_local_node_keeps_logs_goes_along(
    context: str, expected: str | None, bench: Bench, project: Checkout, engine: Shown, tmp_path: Path
) -> None:
    """It stands in the state, and another machine's preview would have the one of its own."""
    dict.update(engine.variables, {POD_LOGS: "/here/pod-logs"})  # type: ignore[arg-type]
    project.edit("prod", lambda values: values.setdefault("cluster", {}).update(context=context))
    assert read(export(bench.session(), "prod", tmp_path)).pod_logs == expected


@pytest.mark.parametrize(
    "text", ["", "[]", '{"kind": "Release"}', '{"apiVersion": "stellwerk.dev/v1", "kind": "ExportedState"}']
)
def test_what_is_no_exported_state_is_not_looked_at(text: str, tmp_path: Path) -> None:
    file = tmp_path / "prod.json"
    file.write_text(text)
    with pytest.raises(DeliveryError, match="is no exported state"):
        read(file)
