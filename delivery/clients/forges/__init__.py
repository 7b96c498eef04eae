"""The forge of the checkout: which one it is, which repository of it, and with whose token it is asked."""

from collections.abc import Mapping
from pathlib import Path

from delivery.clients.forges.forge import Forge
from delivery.clients.forges.origin import Origin, origin
from delivery.errors import DeliveryError
from infra.contract.forge import ForgeKind, ForgeValues

# Asked again after 0, 2 and 4 times as many seconds.
_BACKOFF = 1.0
_NEEDED = {
    ForgeKind.GITHUB: "a fine-grained token for the repository, or `github.token` in a workflow",
    ForgeKind.GITLAB: "a project access token with the scope `api` and the role Developer",
    ForgeKind.BITBUCKET: "an access token of the repository that writes pull requests",
}


def forge(root: Path, values: ForgeValues | None, environ: Mapping[str, str], *, backoff: float = _BACKOFF) -> Forge:
    """Return the forge that the values name, or that the address of the git remote `origin` leads to.

    Raise DeliveryError where neither says which one it is, and where the environment has no token for it.
    """
    return connect(origin(root, values, environ), environ, backoff=backoff)


def has_token(repository: Origin, environ: Mapping[str, str]) -> bool:
    """Return whether the environment has a token for the forge of a repository."""
    return bool(environ.get(repository.variable, "").strip())


def connect(repository: Origin, environ: Mapping[str, str], *, backoff: float = _BACKOFF) -> Forge:
    """Return the forge of a repository; raise DeliveryError where the environment has no token for it."""
    token = environ.get(repository.variable, "").strip()
    if not has_token(repository, environ):
        raise DeliveryError(
            f"{repository.name}: {repository.page}: there is no token; set the variable {repository.variable}: "
            f"{_NEEDED[repository.kind]}"
        )
    # Each of the libraries takes long to import.
    if repository.kind is ForgeKind.GITHUB:
        from delivery.clients.forges.github import github

        return github(repository, token, backoff)
    if repository.kind is ForgeKind.GITLAB:
        from delivery.clients.forges.gitlab import gitlab

        return gitlab(repository, token, backoff)
    if repository.is_bitbucket_cloud:
        from delivery.clients.forges.bitbucket import bitbucket_cloud

        return bitbucket_cloud(repository, token, backoff)
    from delivery.clients.forges.data_center import data_center

    return data_center(repository, token, backoff)
