"""What program and command take from the target: what environment variables name (`stellwerk env`)."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.contract.problems import ConfigError
from infra.targets.variables import ASSUMED, BUILD_SECRETS, DEADLINE, LOCAL_CONTEXT, MOVE, POD_LOGS, REGISTRY_CA, STACKS

_SECRET_FILES = {"ca": "ca.crt", "pip": "pip.conf", "apt": "apt.sources"}
_NAMED = re.compile(r"^(index-url|extra-index-url|trusted-host)\s*[=:](.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)


@dataclass(frozen=True)
class Folder:
    """A folder `name` in the folder that `variable` names; `source` is how to get it."""

    variable: str
    name: str
    source: str = 'run: eval "$(stellwerk env)"'


@dataclass(frozen=True)
class Target:
    """The target as its variables describe it; the process's own unless given."""

    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def folder(self, wanted: Folder) -> Path:
        """Return where a folder is; raise ConfigError naming the variable, what is absent, and how to get it."""
        given = self.variables.get(wanted.variable)
        # Links stay: below the checkout's own link to the toolchain the path is the same on every machine.
        place = Path(given or "", wanted.name).absolute()
        if given and place.is_dir():
            return place
        problem = f"{place} is not a folder" if given else "it is not set"
        raise ConfigError(
            f"{wanted.variable}: {problem}; it names the folder that holds {wanted.name}/; {wanted.source}"
        )

    def build_secrets(self) -> dict[str, str]:
        """Return the contents of build secrets by id; the folder and each file are optional.

        `uv` says for uv what the file of `pip` says for pip.

        A secret that is absent is empty, and none is left out: the engine ignores a difference only in secrets that
        both machines name.
        """
        given = self.variables.get(BUILD_SECRETS)
        files = {identity: Path(given or os.devnull, name) for identity, name in _SECRET_FILES.items()}
        secrets = {
            identity: file.read_text(encoding="utf-8") if file.is_file() else "" for identity, file in files.items()
        }
        return {**secrets, "uv": uv_settings(secrets["pip"])}

    def deadline(self) -> float | None:
        """Return the time (seconds since 1970) until which whoever applies waits for pods, None without an end."""
        given = self.variables.get(DEADLINE)
        try:
            return float(given) if given else None
        except ValueError:
            raise ConfigError(
                f"{DEADLINE}: {given} is no time; it is in seconds since 1970, as `date +%s` says"
            ) from None

    def moved(self) -> str | None:
        """Return the one model that an update moves, None where it is about everything.

        Raise ConfigError where the variable names no file: an update that is not confined to the model would delete all
        others.
        """
        given = self.variables.get(MOVE)
        if not given:
            return None
        try:
            return Path(given).read_text(encoding="utf-8")
        except OSError:
            raise ConfigError(
                f"{MOVE}: there is no file {given}; it is set by `stellwerk promote` and `rollback` alone, for one "
                f"update of one model; run: unset {MOVE}"
            ) from None

    def documents(self, root: Path) -> Path:
        """Return the folder whose `stacks/` is read: the checkout, unless a preview is of another revision's.

        Raise ConfigError where the variable names no such folder: the checkout's files are not what was asked about.
        """
        given = self.variables.get(STACKS)
        if not given:
            return root
        if not Path(given, "stacks").is_dir():
            raise ConfigError(
                f"{STACKS}: there is no folder {given}/stacks; it is set by `stellwerk plan --from-git` alone, for one "
                f"preview; run: unset {STACKS}"
            )
        return Path(given)

    def assumed(self) -> Path | None:
        """Return the file that says which Secrets a preview takes for unchanged, None where it has credentials."""
        given = self.variables.get(ASSUMED)
        return Path(given) if given else None

    def pod_logs(self, context: str) -> str | None:
        """Return the nodes' folder of pod logs, where the cluster of this context keeps them elsewhere than others."""
        return self.variables.get(POD_LOGS) if context == LOCAL_CONTEXT else None

    def trust_registry(self, context: str, certificate: str) -> None:
        """Put an authority where the nodes and the image builder look for the registry's.

        Nothing is written where the target has no such file, or the context is of another cluster.
        """
        given = self.variables.get(REGISTRY_CA)
        if not given or context != LOCAL_CONTEXT:
            return
        file = Path(given)
        if file.parent.is_dir() and not (file.exists() and file.read_text() == certificate):
            file.write_text(certificate)


def uv_settings(pip: str) -> str:
    """Return the package indexes and trusted hosts of a pip configuration file as uv's settings; empty for none."""
    named: dict[str, list[str]] = {}
    for key, values in _NAMED.findall(pip):
        named.setdefault(key, []).extend(values.split())
    # A string or list of JSON is one of TOML. uv would take the first index that has a package, pip the best file.
    lines = []
    if hosts := named.get("trusted-host"):
        lines.append(f"allow-insecure-host = {json.dumps(hosts)}")
    if extra := named.get("extra-index-url"):
        lines.append('index-strategy = "unsafe-best-match"')
    lines += [f"[[index]]\nurl = {json.dumps(url)}\ndefault = true" for url in named.get("index-url", [])[-1:]]
    lines += [f"[[index]]\nurl = {json.dumps(url)}" for url in extra or []]
    return "".join(f"{line}\n" for line in lines)
