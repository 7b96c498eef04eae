"""The variables of the embedded cluster's target, and the files and links that they name.

Computing them and making what they name are two things: a command computes, and makes nothing on a machine where nobody
has asked for the local target (`stellwerk cluster up`, `stellwerk env`, `make demo`), or where the user's own variables
lead to another one.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.local.cluster.layout import Layout, layout
from infra.local.toolchain import paths
from infra.targets import variables as names

# How the engine behaves on the local cluster; on somebody else's that is theirs to say.
_ENGINE = {
    # Kubernetes objects with names of their own, and images named by content: what a killed update has made is taken
    # over by the next one, known to the state or not.
    names.PULUMI_SKIP_CHECKPOINTS: "true",
    # Its API server has no other users, and refuses by itself what is too much.
    names.KUBERNETES_RATE: "400",
    names.KUBERNETES_BURST: "800",
}


def environment(given: Mapping[str, str] = os.environ, place: Layout | None = None) -> dict[str, str]:
    """Return the variables to add to `given` for one command; what the user has set already wins.

    Where the local target is in use its links follow the toolchain; elsewhere nothing is made.
    """
    place = place or layout(given)
    if not in_use(place, given):
        return _settings(given) | (_tools(place, given) if place.tools.is_symlink() else {})
    return ask_for(place, given)


def ask_for(place: Layout, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Make what the variables of the local target name: its folder, links and passphrase; return the variables."""
    # First of all: what is made below it later must not be readable by others.
    place.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    # What runs goes on with the tools that it has, until those of this checkout are there.
    has_tools = paths.view().is_dir() or not place.tools.is_dir()
    if has_tools:
        paths.set_link(place.tools, paths.view())
    values = variables(place, given)
    if values[names.PULUMI_HOME] == str(place.pulumi_home):
        if has_tools:
            _link_plugins(place)
        _keep_no_log(place)
    if values.get(names.PULUMI_PASSPHRASE_FILE) == str(place.passphrase):
        _make_passphrase(place)
    return values


def in_use(place: Layout, given: Mapping[str, str]) -> bool:
    """Return whether somebody has asked for the local target, and `given` leaves something of it to be used."""
    passphrase = names.PULUMI_PASSPHRASE in given or names.PULUMI_PASSPHRASE_FILE in given
    leading = [given.get(name, "") for name in (names.KUBECONFIG, names.PULUMI_BACKEND_URL)]
    # What `stellwerk env` has set leads to the local target itself.
    own = any(str(place.root) in value for value in (*leading, given.get(names.PULUMI_PASSPHRASE_FILE, "")))
    return place.root.is_dir() and (own or not (passphrase and all(leading)))


def variables(place: Layout, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the local target whose state is in `place`; what `given` has set wins."""
    local = {
        names.PULUMI_HOME: str(place.pulumi_home),
        # Without files beside the state's: one that a killed engine leaves half-written makes it refuse every command.
        names.PULUMI_BACKEND_URL: f"file://{place.backend}?metadata=skip",
        names.KUBECONFIG: str(place.kubeconfig),
        names.KUBECACHEDIR: str(place.kubectl_cache),
        names.DOCKER_CONFIG: str(place.docker_config),
        names.BUILD_SECRETS: str(place.build_secrets),
        names.POD_LOGS: str(place.pod_logs),
        names.REGISTRY_CA: str(place.registry_ca),
        names.WORK: str(place.temporary),
    }
    values = _settings(given) | _tools(place, given) | {name: given.get(name) or value for name, value in local.items()}
    if values[names.PULUMI_HOME] == str(place.pulumi_home):
        # Otherwise the engine warns that it takes its plugins from PATH, in every preview.
        values["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "true"
    if values[names.KUBECONFIG] == str(place.kubeconfig):
        values |= {name: given.get(name) or value for name, value in _ENGINE.items()}
    if not {names.PULUMI_PASSPHRASE, names.PULUMI_PASSPHRASE_FILE} & given.keys():
        values[names.PULUMI_PASSPHRASE_FILE] = str(place.passphrase)
    return values


def _settings(given: Mapping[str, str]) -> dict[str, str]:
    """Return what holds for every target: where the tools are, and how the engine is to behave."""
    path = given.get("PATH", "")
    # The built language host takes Python from PATH: it is too old to know of the project's virtualenv.
    first = os.pathsep.join((str(paths.bin_folder()), str(Path(sys.prefix, "bin"))))
    return {
        "PATH": path if path.startswith(first) else f"{first}{os.pathsep}{path}",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        names.PULUMI_PARALLEL_DIFF: given.get(names.PULUMI_PARALLEL_DIFF) or "true",
        # By itself it works on four a processor: no more models would be waited for at a time.
        names.PULUMI_PARALLEL: given.get(names.PULUMI_PARALLEL) or "64",
        # Nothing is overwritten that somebody else has set; unset, a preview would not say so of what it is to create.
        "PULUMI_K8S_ENABLE_PATCH_FORCE": "false",
    }


def _tools(place: Layout, given: Mapping[str, str]) -> dict[str, str]:
    """Return the folders of the toolchain.

    Not their place in the cache: these paths stand in the state, where they must be the same on every machine.
    """
    folders = {names.MANIFESTS: "manifests", names.BUILD_CONTEXTS: "build-contexts"}
    return {name: given.get(name) or str(place.tools / folder) for name, folder in folders.items()}


def _link_plugins(place: Layout) -> None:
    """Show the toolchain's plugins to the engine, where it looks for downloaded ones."""
    from importlib.metadata import version

    providers = {f"resource-{name}": version(f"pulumi-{name}") for name in ("kubernetes", "docker-build")}
    for name, number in {**providers, "language-python": version("pulumi")}.items():
        folder = place.pulumi_home / "plugins" / f"{name}-v{number}"
        paths.set_link(folder / f"pulumi-{name}", paths.bin_folder() / f"pulumi-{name}")


def _keep_no_log(place: Layout) -> None:
    """Put a file where the engine would make the folder of its own logs: it then keeps none, and says nothing of it.

    Every value that it exchanges with a provider goes there several times, secrets included: half of its work in a
    preview, for what a command that failed has said already. A folder that is there stays.
    """
    logs = place.pulumi_home / "logs"
    if not logs.exists():
        logs.write_text("The engine keeps no logs here. To have them, put a folder in place of this file.\n")


def _make_passphrase(place: Layout) -> None:
    """Make the passphrase once, readable by its owner only."""
    if not place.passphrase.exists():
        from secrets import token_urlsafe

        place.passphrase.touch(mode=0o600)
        place.passphrase.write_text(token_urlsafe(32) + "\n")
