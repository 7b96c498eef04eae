"""The login of ECR that Jobs renew: their code against moto's STS and ECR and a real API server."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

from components.registry.login.renew_login import LoginError, docker_config, main, signed
from components.registry.renewed_login import RenewedLogin
from delivery.clients.managed import extensions
from tests.components.mocks import declared
from tests.program.harness import Recording
from tests.support.api_server import ApiServer, api_server
from tests.support.applied_components import applied
from tests.support.simulated import simulated_cluster
from tests.support.tools import free_port

REGION, NAMESPACE, NAME = "eu-central-1", "prod-serving", "registry-login"
REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def program() -> Recording:
    """The component as it is declared."""
    return declared(
        lambda: RenewedLogin(
            "pull",
            {
                "namespace": NAMESPACE,
                "registry": REGISTRY,
                "role": "arn:aws:iam::123456789012:role/pull",
                "image": "registry.example.com/python:3.11",
            },
        )
    )


@pytest.fixture
def amazon() -> Iterator[str]:
    """STS and ECR; where they listen."""
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def test_requests_are_signed_as_aws_s_own_library_signs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"AccessKeyId": "AKIA", "SecretAccessKey": "word", "SessionToken": "token"}
    url = f"https://api.ecr.{REGION}.amazonaws.com/"
    headers = signed(url, REGION, keys, b"{}", NOW)
    request = AWSRequest("POST", url, {key: headers[key] for key in ("content-type", "x-amz-target")}, b"{}")
    auth = SigV4Auth(Credentials("AKIA", "word", "token"), "ecr", REGION)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_: NOW)
    auth.add_auth(request)
    assert request.headers["X-Amz-Date"] == headers["x-amz-date"]
    assert request.headers["Authorization"] == headers["authorization"]


def test_the_secret_is_what_docker_writes_after_a_login() -> None:
    token = base64.b64encode(b"AWS:word:with:colons").decode()
    entry = json.loads(docker_config(REGISTRY, token))["auths"][REGISTRY]
    assert entry == {"username": "AWS", "password": "word:with:colons", "auth": token}


def test_another_registry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoginError, match=r"REGISTRY is 'registry\.example\.com'"):
        main({"REGISTRY": "registry.example.com", "TOKENS": str(tmp_path)}, NOW)


def test_the_jobs_may_change_this_one_secret(program: Recording) -> None:
    (role,) = program.of_kind("Role").values()
    assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [NAME], "verbs": ["patch"]}]
    specs = [
        program.of_kind("Job")["pull-now"]["spec"],
        program.of_kind("CronJob")["pull"]["spec"]["jobTemplate"]["spec"],
    ]
    assert specs[0] == specs[1]
    pod = specs[0]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False and "imagePullSecrets" not in pod
    tokens = [each["serviceAccountToken"] for each in pod["volumes"][1]["projected"]["sources"][:2]]
    assert [(each["path"], each.get("audience")) for each in tokens] == [
        ("aws", "sts.amazonaws.com"),
        ("cluster", None),
    ]


@pytest.fixture(scope="module")
def server(program: Recording, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A cluster with what the component declares, and another Secret."""
    with api_server(tmp_path_factory.mktemp("server"), ACCOUNT) as made:
        made.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        (empty,) = program.of_kind("Secret").values()
        made.apply({**empty, "stringData": {".dockerconfigjson": '{"auths": {}}'}})
        kinds = ("ServiceAccount", "Role", "RoleBinding", "ConfigMap", "CronJob", "Job")
        made.apply(*(each for kind in kinds for each in program.of_kind(kind).values()))
        made.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other", "namespace": NAMESPACE}})
        yield made


@pytest.fixture
def variables(program: Recording, server: ApiServer, amazon: str, tmp_path: Path) -> dict[str, str]:
    """A Job's, as its template says, with the tokens of its service account."""
    (tmp_path / "aws").write_text("header.e30.signature")
    (tmp_path / "cluster").write_text(f"token-of-{ACCOUNT}")
    (tmp_path / "ca.crt").write_bytes((server.folder / "certs" / "apiserver.crt").read_bytes())
    pod = program.of_kind("Job")["pull-now"]["spec"]["template"]["spec"]
    said = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    iam = boto3.Session("owner", "owner", region_name=REGION).client("iam", endpoint_url=amazon)
    iam.create_role(RoleName="pull", AssumeRolePolicyDocument="{}")
    return {
        **said, "TOKENS": str(tmp_path), "AWS_ENDPOINT_URL_STS": amazon, "AWS_ENDPOINT_URL_ECR": amazon,
        "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port),
    }  # fmt: skip


def content(server: ApiServer, name: str) -> dict[str, Any]:
    code, text = server.kubectl("-n", NAMESPACE, "get", "secret", name, "-o", "json")
    assert code == 0, text
    return dict(json.loads(text).get("data", {}))


@pytest.mark.tools
@pytest.mark.timeout(1200)
def test_a_job_writes_a_login_into_its_secret_and_reaches_no_other(
    server: ApiServer, variables: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(variables, datetime.now(UTC))
    written = json.loads(base64.b64decode(content(server, NAME)[".dockerconfigjson"]))
    assert written["auths"][REGISTRY]["username"] == "AWS" and written["auths"][REGISTRY]["password"]
    assert capsys.readouterr().out == f"renewed the login of {REGISTRY}\n", "a log names no login"
    with pytest.raises(LoginError, match="403"):
        main({**variables, "SECRET": "other"}, datetime.now(UTC))
    assert content(server, "other") == {}
    code, said = server.kubectl("-n", NAMESPACE, "get", "secret", NAME, user=ACCOUNT)
    assert code != 0 and "forbidden" in said, "it writes and does not read"


def test_what_does_not_answer_is_named(tmp_path: Path) -> None:
    (tmp_path / "aws").write_text("header.e30.signature")
    nobody = f"http://127.0.0.1:{free_port()}"
    given = {"REGISTRY": REGISTRY, "ROLE": "arn", "TOKENS": str(tmp_path), "AWS_ENDPOINT_URL_STS": nobody}
    with pytest.raises(LoginError, match=f"POST {nobody}/: .*refused"):
        main(given, NOW)


_PROGRAM = """
from components.registry.renewed_login import RenewedLogin
RenewedLogin("pull", {{"namespace": "default", "registry": "{registry}",
    "role": "arn:aws:iam::123456789012:role/{role}", "image": "registry.example.com/python:3.11"}})
"""


@pytest.mark.tools
@pytest.mark.timeout(1200)
def test_what_the_jobs_have_written_is_no_drift_and_outlives_an_update(tmp_path: Path) -> None:
    path = f"/api/v1/namespaces/default/secrets/{NAME}"
    with simulated_cluster(tmp_path / "plane") as plane:
        (tmp_path / "engine").mkdir()
        project = applied(tmp_path / "engine", plane)
        project.up(_PROGRAM.format(registry=REGISTRY, role="pull"))
        secret = plane.read(path)
        login = base64.b64encode(docker_config(REGISTRY, base64.b64encode(b"AWS:word").decode()).encode()).decode()
        plane.replace(path, {**secret, "data": {".dockerconfigjson": login}})
        refreshed = json.loads(project.run("refresh", "--preview-only", "--json"))
        assert set(refreshed["changeSummary"]) == {"same"}
        assert extensions(plane.read(path), {"stringData": {".dockerconfigjson": "{}"}}) == []
        project.up(_PROGRAM.format(registry=REGISTRY, role="other"))
        project.run("up", "--refresh", "--yes", "--skip-preview")
        assert plane.read(path)["data"] == {".dockerconfigjson": login}
        project.destroy()
