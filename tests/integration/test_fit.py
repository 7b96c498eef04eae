"""`plan` says that something does not fit exactly when the cluster's own scheduler then leaves a pod pending."""

import base64
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml

from delivery.clients.control_plane import ControlPlane, control_plane
from delivery.clients.kubectl import Kubectl
from tests.support.placements import Playground
from tests.support.project import Project
from tests.support.situations import NAMESPACE, situation

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.lane("own"), pytest.mark.timeout(1800)]
SETS = 50


@pytest.fixture(scope="module")
def playground(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    """The project's cluster, and a namespace in it that is gone afterwards."""
    folder = tmp_path_factory.mktemp("access")
    variables = {**project.shell, **project.variables}
    with ExitStack() as cleanup:
        api = cleanup.enter_context(_client(Path(variables["KUBECONFIG"]), folder))
        plane = ControlPlane(api, Path(variables["KUBECONFIG"]))
        cleanup.callback(plane.delete, f"/api/v1/namespaces/{NAMESPACE}")
        planes = partial(control_plane, variables, folder)
        yield Playground(plane, Kubectl("x", "stellwerk", variables), planes)


def _client(kubeconfig: Path, folder: Path) -> httpx.Client:
    """Return a client with the rights that a kubeconfig gives, whose keys are in the file itself."""
    document = yaml.safe_load(kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    files = {}
    for name, text in (
        ("ca", cluster["certificate-authority-data"]),
        ("certificate", user["client-certificate-data"]),
        ("key", user["client-key-data"]),
    ):
        files[name] = folder / name
        files[name].touch(mode=0o600)
        files[name].write_bytes(base64.b64decode(text))
    trust = ssl.create_default_context(cafile=str(files["ca"]))
    trust.load_cert_chain(files["certificate"], files["key"])
    return httpx.Client(base_url=cluster["server"], verify=trust, trust_env=False, timeout=30)


def test_random_sets_of_pools_and_workloads_fit_exactly_as_it_is_said(playground: Playground) -> None:
    wrong = {}
    for seed in range(SETS):
        said, lacking = playground.play(situation(seed))
        assert said.unseen == ()
        refused = {each.name for each in said.placements if not each.fits}
        if refused != lacking:
            wrong[seed] = (refused, lacking)
    assert wrong == {}
