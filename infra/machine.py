"""What the program takes from the machine it runs on: folders named by environment variables (`stellwerk env`)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.contract.environment import Environment, Mode
from infra.contract.problems import ConfigError
from infra.local.cluster.pki import CONTEXT

MANIFESTS = "STELLWERK_MANIFESTS"
BUILD_CONTEXTS = "STELLWERK_BUILD_CONTEXTS"
BUILD_SECRETS = "STELLWERK_BUILD_SECRETS"
POD_LOGS = "STELLWERK_POD_LOGS"
DEADLINE = "STELLWERK_DEADLINE"
_SECRET_FILES = {"ca": "ca.crt", "pip": "pip.conf", "apt": "apt.sources"}


@dataclass(frozen=True)
class Machine:
    """Folders of this machine, None where the environment needs none, and the contents of its build secrets.

    `deadline` is a time (seconds since 1970): whoever applies waits no longer for pods.
    """

    kserve: Path | None
    base_python: Path | None
    elasticsearch: Path | None
    build_secrets: Mapping[str, str]
    pod_logs: str | None
    deadline: float | None = None


def read(environment: Environment) -> Machine:
    """What `environment` needs of the machine.

    Raises ConfigError naming the variable, the folder that is absent, and how to get it.
    """
    base = environment.images.base_python
    embedded = environment.logging.mode is Mode.EMBEDDED
    return Machine(
        kserve=None if environment.cluster.shared else _folder(MANIFESTS, "kserve"),
        base_python=_folder(BUILD_CONTEXTS, "base-python") if base and base.build else None,
        elasticsearch=_folder(BUILD_CONTEXTS, "elasticsearch") if embedded else None,
        build_secrets=_build_secrets() if base else {},
        pod_logs=_pod_logs(environment) if embedded else None,
        deadline=_deadline(),
    )


def _pod_logs(environment: Environment) -> str | None:
    """The folder of pod logs; the local cluster keeps them in its state directory."""
    local = os.environ.get(POD_LOGS) if environment.cluster.context == CONTEXT else None
    return local or environment.logging.pod_logs_path


def _deadline() -> float | None:
    given = os.environ.get(DEADLINE)
    try:
        return float(given) if given else None
    except ValueError:
        raise ConfigError(f"{DEADLINE}: {given} is no time; it is in seconds since 1970, as `date +%s` says") from None


def _folder(variable: str, name: str) -> Path:
    given = os.environ.get(variable)
    # Links stay: below the checkout's own link to the toolchain the path is the same on every machine.
    place = Path(given or "", name).absolute()
    if given and place.is_dir():
        return place
    problem = f"{place} is not a folder" if given else "it is not set"
    raise ConfigError(f'{variable}: {problem}; it names the folder that holds {name}/; run: eval "$(stellwerk env)"')


def _build_secrets() -> dict[str, str]:
    """Contents by id; the folder and each file are optional. A secret that is absent is empty, and none is left out:
    the engine ignores a difference only in secrets that both machines name.
    """
    given = os.environ.get(BUILD_SECRETS)
    files = {identity: Path(given or os.devnull, name) for identity, name in _SECRET_FILES.items()}
    return {identity: file.read_text(encoding="utf-8") if file.is_file() else "" for identity, file in files.items()}
