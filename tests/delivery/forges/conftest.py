import pytest

from delivery.clients.forges import connect
from delivery.clients.forges.bitbucket import bitbucket_cloud
from delivery.clients.forges.forge import Forge
from delivery.clients.forges.origin import Origin
from infra.contract.forge import ForgeKind
from tests.support.forges.server import HOSTS, TOKEN, ForgeServer, serve
from tests.support.forges.state import REPOSITORY

KINDS = {
    "github": ForgeKind.GITHUB,
    "gitlab": ForgeKind.GITLAB,
    "bitbucket-cloud": ForgeKind.BITBUCKET,
    "bitbucket-data-center": ForgeKind.BITBUCKET,
}
WITH_ISSUES = ("github", "gitlab")


def client(server: ForgeServer, token: str = TOKEN, repository: str = REPOSITORY) -> Forge:
    """Return the client for a local server, as a command makes it; it waits for nothing."""
    kind = KINDS[server.host.name]
    if server.host.name == "bitbucket-cloud":
        asked = Origin(kind, "https://bitbucket.org", repository, "FORGE_TOKEN")
        return bitbucket_cloud(asked, token, 0, server.url)
    return connect(Origin(kind, server.url, repository, "FORGE_TOKEN"), {"FORGE_TOKEN": token}, backoff=0)


@pytest.fixture(params=sorted(HOSTS))
def server(request):
    with serve(request.param) as made:
        yield made


@pytest.fixture(params=WITH_ISSUES)
def issue_server(request):
    with serve(request.param) as made:
        yield made
