"""A second team on the cluster is one more file: it trains, serves and sees nothing of the first, by commands alone."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ruamel.yaml.scalarstring import LiteralScalarString

from components.kit import ports
from delivery.clients.kubectl import Kubectl
from delivery.operations import authority
from infra.local.cluster.layout import ADDRESS
from infra.targets.variables import LOCAL_CONTEXT
from tests.support import front, rights
from tests.support.object_store import BUCKET, client
from tests.support.project import ENVIRONMENTS, Project
from tests.support.stores import tls_server

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]
# The team, its environment, and the model that it trains there.
TEAM, LAB, PARCELS = "vision", "vision-lab", "parcels"
_TRAINS_AND_SERVES = f"""\
  stellwerk:images: {{basePython: {{build: true}}}}
  stellwerk:training: {{{PARCELS}: {{}}}}
  stellwerk:models:
    {PARCELS}: {{release: null}}
"""


@pytest.fixture(scope="module")
def written(project: Project) -> Iterator[str]:
    """The file of the team's environment, as `init` wrote it; dev, which runs what they share, knows it.

    At the end of the module dev is as before, and nothing is left of the team.
    """
    before = project.expected
    try:
        project.stellwerk("init", LAB, "--team", TEAM)
        project.expected = {**before, "dev": project.stack_file("dev").read_text()}
        project.up("dev")
        yield project.stack_file(LAB).read_text()
    finally:
        if f'"{LAB}"' in project.pulumi("stack", "ls", "--json").stdout:
            take_away(project)
        for folder in (project.root / "models" / PARCELS, project.release_file("any", PARCELS).parent):
            shutil.rmtree(folder, ignore_errors=True)
        project.expected = before
        project.write("dev", before["dev"])
        project.up("dev")


def take_away(project: Project) -> None:
    project.pulumi("destroy", "--stack", LAB, "--yes", "--skip-preview")
    project.pulumi("stack", "rm", LAB, "--yes")
    assert not project.stack_file(LAB).exists()
    assert f"{LAB}-" not in project.kubectl("get", "namespaces", "-o", "name")


@pytest.fixture(scope="module")
def lab(project: Project, written: str) -> str:
    """The team's environment serves a model that was trained in it; the release."""
    project.stellwerk("model", "new", PARCELS, "--template", "torch")
    nothing = "  stellwerk:models: {}\n"
    assert nothing in written
    project.write(LAB, written.replace(nothing, _TRAINS_AND_SERVES))
    # Who builds images needs the login that pushes them.
    project.stellwerk("init", LAB)
    project.up(LAB)
    job = project.ask("train", PARCELS, "--wait")["job"]
    release: str = project.ask("release", PARCELS, "--job", job)["release"]
    project.stellwerk("promote", PARCELS, "--to", LAB, "--release", release, "--yes")
    assert project.ask("runs", PARCELS)["runs"][0]["job"] == job
    return release


def test_a_second_team_s_environment_is_a_file_of_15_lines(written: str) -> None:
    assert written.partition("  stellwerk:caCertificate")[0].count("\n") <= 15


def test_a_second_team_trains_and_serves_in_an_environment_of_its_own(project: Project, lab: str) -> None:
    project.assert_no_changes(LAB)
    answer = project.ask("predict", PARCELS, "--env", LAB)
    assert answer["release"] == lab
    (line, *_) = project.ask("logs", "--request-id", answer["request_ids"][0], "--wait")["hits"]
    assert line["service.environment"] == LAB
    assert project.answers("dev")


@pytest.mark.usefixtures("lab", "service_names")
def test_two_teams_see_nothing_of_each_other(project: Project, tmp_path: Path) -> None:
    kubectl, theirs, ours = rights.administrator(project), f"{TEAM}-ml-engineers", rights.GROUPS["developers"]
    for purpose in ("platform", "training", "serving"):
        own = rights.rights(kubectl, theirs, f"{LAB}-{purpose}")
        assert own == rights.expected("developers", purpose)
        assert rights.rights(kubectl, ours, f"{LAB}-{purpose}") == set()
        for environment in ENVIRONMENTS:
            assert rights.rights(kubectl, theirs, f"{environment}-{purpose}") == set()
    for group, environment in ((theirs, "dev"), (ours, LAB)):
        for verb, kind in (("get", "secrets"), ("list", "pods"), ("create", "jobs.batch")):
            asked = ("auth", "can-i", verb, kind, "-n", f"{environment}-training")
            assert rights.impersonated(kubectl, group, *asked)[1].startswith("no"), (group, verb, kind)
    logins = {name: project.credentials(name)["objectStore"] for name in ("dev", LAB)}
    buckets = {"dev": BUCKET, LAB: f"{TEAM}-{BUCKET}"}
    for name, bucket in buckets.items():
        for login in logins:
            store = client(project, name, "object-store", logins[login], tmp_path)
            if login == name:
                assert store.list_objects_v2(Bucket=bucket)["KeyCount"] > 0
                continue
            with pytest.raises(ClientError):
                store.list_objects_v2(Bucket=bucket)


@contextmanager
def as_strangers(project: Project, folder: Path) -> Iterator[front.Front]:
    """Have dev's tracking server answer at a URL with TLS and a login, as another company's would."""
    pair = authority.sign(project.authority("dev"), project.credentials("dev")["caKey"], [ADDRESS])
    kubectl = Kubectl("dev", LOCAL_CONTEXT, {**project.shell, **project.variables})
    with (
        kubectl.forwarded("dev-platform", "tracking", ports.TRACKING) as port,
        front.front(ADDRESS, port, tls_server(pair, folder)) as made,
    ):
        yield made


def _elsewhere(config: Any, *, tracking: str, logs: str, trusted: str) -> None:
    config["stellwerk:tracking"] = {"mode": "external", "url": tracking}
    config["stellwerk:logging"] = {"mode": "external", "url": logs}
    # Behind the environment's own authority, as docs/environments.md says.
    config["stellwerk:caCertificate"] = LiteralScalarString(config["stellwerk:caCertificate"] + trusted)


@pytest.mark.usefixtures("lab")
def test_runs_and_logs_of_services_that_are_known_by_url_and_login(project: Project, tmp_path: Path) -> None:
    logs = f"https://{ADDRESS}:{project.values('dev')['stellwerk:logging']['nodePort']}"
    reader = project.credentials("dev")["logStore"]["users"]["reader"]["password"]
    logins = {
        "STELLWERK_TRACKING_USERNAME": front.USERNAME, "STELLWERK_TRACKING_PASSWORD": front.PASSWORD,
        "STELLWERK_LOG_STORE_USERNAME": "reader", "STELLWERK_LOG_STORE_PASSWORD": reader,
    }  # fmt: skip
    with as_strangers(project, tmp_path) as server:
        trusted = project.authority("dev")
        project.edit(LAB, partial(_elsewhere, tracking=server.url, logs=logs, trusted=trusted))
        project.stellwerk("init", LAB, **logins)
        before = project.output("images", LAB)
        with (project.root / "models" / PARCELS / "train.py").open("a") as code:
            code.write("\n# Looked at again.\n")
        project.up(LAB)
        after = project.output("images", LAB)
        assert {name for name in after if after[name] != before[name]} == {f"model-{PARCELS}"}
        job = project.ask("train", PARCELS, "--param", "seed=8", "--wait")["job"]
        by_the_job = len(server.passed)
        assert by_the_job > 5, "the Job has recorded its run elsewhere"
        assert project.ask("runs", PARCELS)["runs"][0]["job"] == job
        assert len(server.passed) > by_the_job
        assert server.refused == []
    answer = project.ask("predict", PARCELS, "--env", LAB)
    asked = ("--env", LAB, "--request-id", answer["request_ids"][0], "--wait")
    assert [line["service.environment"] for line in project.ask("logs", *asked)["hits"]] == [LAB]
    text = project.stack_file(LAB).read_text()
    assert front.PASSWORD not in text and reader not in text
    take_away(project)
    assert project.answers("dev")
