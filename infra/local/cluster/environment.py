"""The variables under which plain `pulumi`, `kubectl` and the command work against this stack."""

import os
import secrets
import sys
from importlib.metadata import version
from pathlib import Path

from infra.local.cluster.layout import Layout, layout
from infra.local.toolchain.paths import bin_folder, linked_view, set_link


def environment() -> dict[str, str]:
    """Environment variables to add to the process's own.

    What the user has set already (another backend, kubeconfig or passphrase) wins.
    """
    place = layout()
    # First of all: what is made below it later must not be readable by others.
    place.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    given = os.environ
    path = given.get("PATH", "")
    # The built language host takes Python from PATH: it is too old to be told the project's virtualenv.
    first = os.pathsep.join((str(bin_folder()), str(Path(sys.prefix, "bin"))))
    # Not the place in the cache: these paths stand in the state, where they must be the same on every machine.
    tools = linked_view()
    values = {
        "PATH": path if path.startswith(first) else f"{first}{os.pathsep}{path}",
        "PULUMI_HOME": given.get("PULUMI_HOME") or str(place.pulumi_home),
        "PULUMI_BACKEND_URL": given.get("PULUMI_BACKEND_URL") or f"file://{place.backend}",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # Nothing is overwritten that somebody else has set; unset, a preview would not say so of what it is to create.
        "PULUMI_K8S_ENABLE_PATCH_FORCE": "false",
        "KUBECONFIG": given.get("KUBECONFIG") or str(place.kubeconfig),
        "KUBECACHEDIR": given.get("KUBECACHEDIR") or str(place.kubectl_cache),
        "DOCKER_CONFIG": given.get("DOCKER_CONFIG") or str(place.docker_config),
        "STELLWERK_MANIFESTS": given.get("STELLWERK_MANIFESTS") or str(tools / "manifests"),
        "STELLWERK_BUILD_CONTEXTS": given.get("STELLWERK_BUILD_CONTEXTS") or str(tools / "build-contexts"),
        "STELLWERK_BUILD_SECRETS": given.get("STELLWERK_BUILD_SECRETS") or str(place.build_secrets),
        "STELLWERK_POD_LOGS": given.get("STELLWERK_POD_LOGS") or str(place.pod_logs),
    }
    if values["PULUMI_HOME"] == str(place.pulumi_home):
        _link_plugins(place)
        # Otherwise the engine warns that it takes them from PATH, in every preview.
        values["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "true"
    if not ({"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} & given.keys()):
        values["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(_passphrase(place))
    return values


def _link_plugins(place: Layout) -> None:
    """Shows the toolchain's plugins to the engine, where it looks for downloaded ones."""
    providers = {f"resource-{name}": version(f"pulumi-{name}") for name in ("kubernetes", "docker-build")}
    for name, number in {**providers, "language-python": version("pulumi")}.items():
        folder = place.pulumi_home / "plugins" / f"{name}-v{number}"
        set_link(folder / f"pulumi-{name}", bin_folder() / f"pulumi-{name}")


def _passphrase(place: Layout) -> Path:
    """Made once, readable by its owner only."""
    if not place.passphrase.exists():
        place.passphrase.touch(mode=0o600)
        place.passphrase.write_text(secrets.token_urlsafe(32) + "\n")
    return place.passphrase
