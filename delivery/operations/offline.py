"""A preview without cluster and credentials: of an exported state, in a backend of its own that goes with it."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from delivery import stackfile
from delivery.clients import checkpoint
from delivery.clients.absent_cluster import absent_cluster
from delivery.clients.engine import KEY, Engine
from delivery.clients.plan import Plan
from delivery.errors import system_errors
from delivery.operations.exported_state import ExportedState
from delivery.session import Session
from infra.composition import assumed, credentials
from infra.targets.variables import (
    ASSUMED,
    KUBECONFIG,
    POD_LOGS,
    PULUMI_BACKEND_URL,
    PULUMI_PASSPHRASE,
    PULUMI_PASSPHRASE_FILE,
    WORK,
)
from infra.values import file_name

# Of the stack file, what belongs to the secrets that are not read here.
_ENCRYPTION = ("secretsprovider", "encryptedkey", "encryptionsalt")


def preview(session: Session, environment: str, last: ExportedState) -> Plan:
    """Return what an update from an exported state would do, by the checkout's files; nothing outside is asked.

    Raise DeliveryError when the engine cannot say.
    """
    engine, stack = session.engine, session.project.stack(environment)
    place = engine.work
    with ExitStack() as cleanup, system_errors("writing the exported state", f"let {WORK} name another folder"):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="offline-", dir=place)))
        checkpoint.make_backend(folder / "backend", engine.project, environment, last.state)
        assumed.write(folder / "assumed", last.secrets())
        kubeconfig = cleanup.enter_context(absent_cluster(stack.environment.cluster.context, folder))
        known = credentials.without_secrets(last.credentials, stack)
        text = _config(session.project.text(environment), environment, known)
        return Engine(engine.root, _variables(engine, folder, kubeconfig, last), engine.clock).preview(
            environment, text, shown=False
        )


def _variables(engine: Engine, folder: Path, kubeconfig: Path, last: ExportedState) -> dict[str, str]:
    given = {name: value for name, value in engine.variables.items() if name != PULUMI_PASSPHRASE_FILE}
    # Where the nodes keep their logs is not for this machine to say.
    logs = {POD_LOGS: last.pod_logs} if last.pod_logs else {}
    return {
        **given,
        **logs,
        PULUMI_BACKEND_URL: f"file://{folder / 'backend'}",
        # There is nothing to encrypt; the engine wants one all the same.
        PULUMI_PASSPHRASE: "none",
        KUBECONFIG: str(kubeconfig),
        ASSUMED: str(folder / "assumed"),
        WORK: str(folder / "work"),
    }


def _config(text: str, environment: str, known: Mapping[str, Any]) -> str:
    """Return a stack file without encrypted values, and with credentials that are none, as JSON, which is YAML."""
    values = stackfile.config(text, file_name(environment))
    plain = {key: value for key, value in values.items() if not (isinstance(value, Mapping) and "secure" in value)}
    return json.dumps({"config": {**plain, KEY: json.dumps(known)}})
