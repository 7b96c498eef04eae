"""Which repository of which forge the checkout is of: by the values, the variables of a pipeline, or the remote."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from delivery.clients.git import Git, without_login
from delivery.errors import DeliveryError
from infra.contract.forge import ForgeKind, ForgeValues
from infra.contract.stacks import BASE

REMOTE = "origin"
NAMES = {ForgeKind.GITHUB: "GitHub", ForgeKind.GITLAB: "GitLab", ForgeKind.BITBUCKET: "Bitbucket"}
BITBUCKET_CLOUD = "bitbucket.org"
_HOSTS = {
    "github.com": ForgeKind.GITHUB,
    "gitlab.com": ForgeKind.GITLAB,
    BITBUCKET_CLOUD: ForgeKind.BITBUCKET,
}
# Where a proxy lets nothing but port 443 through, the hosts answer under these names.
_SSH_HOSTS = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
_SCP = re.compile(r"(?:[^@/\s]+@)?(?P<host>[^:/\s]+):(?P<path>(?!//).+)")
# Of each kind of pipeline: the variable with the repository, and the one with the forge's address.
_PIPELINES = (
    (ForgeKind.GITHUB, "GITHUB_REPOSITORY", "GITHUB_SERVER_URL", "https://github.com"),
    (ForgeKind.GITLAB, "CI_PROJECT_PATH", "CI_SERVER_URL", "https://gitlab.com"),
    (ForgeKind.BITBUCKET, "BITBUCKET_REPO_FULL_NAME", "", f"https://{BITBUCKET_CLOUD}"),
)


@dataclass(frozen=True)
class Origin:
    """A repository of a forge, and the variable that has the token for it."""

    kind: ForgeKind
    url: str
    repository: str
    variable: str

    @property
    def name(self) -> str:
        """Return what the forge is called."""
        return NAMES[self.kind]

    @property
    def is_bitbucket_cloud(self) -> bool:
        """Return whether it is Atlassian's own Bitbucket, which has another interface than a Data Center."""
        return self.kind is ForgeKind.BITBUCKET and urlsplit(self.url).hostname == BITBUCKET_CLOUD

    @property
    def page(self) -> str:
        """Return the address of the repository as a browser has it."""
        if self.kind is not ForgeKind.BITBUCKET or self.is_bitbucket_cloud:
            return f"{self.url}/{self.repository}"
        project, _, slug = self.repository.partition("/")
        return f"{self.url}/projects/{project}/repos/{slug}"

    def form(self, source: str, target: str) -> str:
        """Return the address of the page on which a person opens a pull request."""
        if self.kind is ForgeKind.GITHUB:
            return f"{self.page}/compare/{quote(target)}...{quote(source)}?expand=1"
        if self.kind is ForgeKind.GITLAB:
            fields = {"merge_request[source_branch]": source, "merge_request[target_branch]": target}
            return f"{self.page}/-/merge_requests/new?{urlencode(fields)}"
        if self.is_bitbucket_cloud:
            return f"{self.page}/pull-requests/new?{urlencode({'source': source, 'dest': target})}"
        fields = {"sourceBranch": f"refs/heads/{source}", "targetBranch": f"refs/heads/{target}"}
        return f"{self.page}/pull-requests?create&{urlencode(fields)}"


def origin(root: Path, values: ForgeValues | None, environ: Mapping[str, str]) -> Origin:
    """Return the repository; raise DeliveryError where nothing says which one it is."""
    if values is not None:
        variable = values.token_variable or _variable(values.kind)
        return Origin(values.kind, values.url.rstrip("/"), values.repository, variable)
    for kind, repository, server, default in _PIPELINES:
        if environ.get(repository):
            url = (environ.get(server) or default).rstrip("/")
            return Origin(kind, url, environ[repository], _variable(kind))
    return _of_remote(Git(root).address(REMOTE))


def _of_remote(address: str | None) -> Origin:
    section = f"say it in {BASE}: `stellwerk:forge: {{kind: …, url: https://…, repository: …}}`"
    if address is None:
        raise DeliveryError(f"no forge is known: this checkout has no remote `{REMOTE}`; add it, or {section}")
    host, path = _parts(address)
    if host not in _HOSTS or "/" not in path:
        known = ", ".join(_HOSTS)
        raise DeliveryError(
            f"no forge is known: the remote `{REMOTE}` is {without_login(address)}; known by their address are "
            f"repositories at {known}; of another host {section}"
        )
    kind = _HOSTS[host]
    return Origin(kind, f"https://{host}", path, _variable(kind))


def _parts(address: str) -> tuple[str, str]:
    """Return host and path of a remote's address: https://, ssh:// or user@host:path."""
    if "://" in address:
        split = urlsplit(address)
        host, path = split.hostname or "", split.path
    elif match := _SCP.fullmatch(address):
        host, path = match["host"], match["path"]
    else:
        host, path = "", address
    host = host.lower()
    return _SSH_HOSTS.get(host, host), path.strip("/").removesuffix(".git")


def _variable(kind: ForgeKind) -> str:
    return f"{kind.upper()}_TOKEN"
