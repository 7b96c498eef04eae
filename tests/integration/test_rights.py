"""What each role can do all day, what it can't, and that prod's pods come back without dev's controller."""

import json
import socket
from pathlib import Path

import httpx
import pytest
import yaml

from infra.local.cluster.layout import ADDRESS
from tests.support import rights
from tests.support.project import MODEL, Project, eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]
CONTROLLER = ("-n", "dev-kserve", "deployment/kserve-controller-manager")
SERVES = f"serving.kserve.io/inferenceservice={MODEL}"


@pytest.fixture
def kubectl(project: Project) -> rights.Kubectl:
    return rights.administrator(project)


@pytest.fixture
def as_role(project: Project, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The variables under which every command acts as a member of the role's group."""
    document = yaml.safe_load(Path(project.variables["KUBECONFIG"]).read_text())
    document["users"][0]["user"] |= {"as": "somebody", "as-groups": [rights.GROUPS[request.param]]}
    target = tmp_path / "kubeconfig"
    target.touch(mode=0o600)
    target.write_text(yaml.safe_dump(document))
    return {"KUBECONFIG": str(target)}


def test_roles_have_the_rights_of_their_table_and_no_other(kubectl: rights.Kubectl) -> None:
    for role, purposes in rights.ALLOWED.items():
        for environment in ("dev", "test", "prod"):
            for purpose in purposes if environment == "dev" else ("platform", "serving"):
                wanted = set() if (role, environment) == ("developers", "prod") else rights.expected(role, purpose)
                given = rights.rights(kubectl, rights.GROUPS[role], f"{environment}-{purpose}")
                assert given == wanted, f"{role} in {environment}-{purpose}"
        for namespace in rights.NOBODYS:
            assert rights.rights(kubectl, rights.GROUPS[role], namespace) == set(), f"{role} in {namespace}"


@pytest.mark.lane("test")
@pytest.mark.parametrize("role", rights.GROUPS)
def test_no_role_gets_to_the_node_or_to_other_people_s_data(role: str, kubectl: rights.Kubectl) -> None:
    for what, arguments in rights.ESCALATIONS.items():
        code, said = rights.impersonated(kubectl, rights.GROUPS[role], *arguments)
        assert code != 0, f"{role} got {what}"
        assert "orbidden" in said, f"{what}: {said}"
    for what, path in rights.RAW.items():
        code, said = rights.impersonated(kubectl, rights.GROUPS[role], "create", f"--raw={path}", "-f", "-", stdin="{}")
        assert code != 0, f"{role} got {what}"
        assert "orbidden" in said, f"{what}: {said}"


@pytest.mark.parametrize("as_role", ["developers"], indirect=True)
def test_a_developers_day(project: Project, as_role: dict[str, str]) -> None:
    """Looks at what runs, reads logs and runs, trains, takes a Job away again."""

    def do(*arguments: str) -> str:
        done = project.run("kubectl", *arguments, **as_role)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    for environment in ("dev", "test"):
        kinds = "pods,deployments,replicasets,services,events,configmaps,inferenceservices,persistentvolumeclaims"
        assert do("-n", f"{environment}-serving", "get", kinds)
        do("-n", f"{environment}-serving", "logs", "-l", SERVES, "--tail=1")
    assert do("-n", "dev-training", "get", "jobs,cronjobs,resourcequotas", "-o", "name")
    assert do("-n", "dev-platform", "get", "statefulsets,deployments", "-o", "name")
    assert json.loads(project.stellwerk("runs", MODEL, "--json", **as_role).stdout)
    # The demo has trained this: the Job is found, not made again.
    project.stellwerk("train", MODEL, **as_role)
    do("-n", "dev-training", "create", "job", "of-a-developer", f"--from=cronjob/train-{MODEL}")
    do("-n", "dev-training", "delete", "job", "of-a-developer", "--wait")
    for arguments in (
        ("-n", "test-serving", "delete", "inferenceservice", MODEL, "--dry-run=server"),
        ("-n", "dev-serving", "delete", "pods", "--all", "--dry-run=server"),
        ("-n", "prod-serving", "get", "pods"),
    ):
        done = project.run("kubectl", *arguments, **as_role)
        assert "orbidden" in done.stderr, arguments


@pytest.mark.lane("alone")
@pytest.mark.parametrize("as_role", ["operators"], indirect=True)
def test_an_operators_day_on_which_dev_s_controller_is_away(project: Project, as_role: dict[str, str]) -> None:
    """Restarts, scales, changes inference services; a pod of prod that is deleted comes back without KServe."""

    def do(*arguments: str) -> str:
        done = project.run("kubectl", *arguments, **as_role)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    serving = ("-n", "prod-serving")
    do(*serving, "annotate", "inferenceservice", MODEL, "stellwerk.dev/seen=yes", "--dry-run=server")
    do(*serving, "scale", f"deployment/{MODEL}-predictor", "--replicas=2", "--dry-run=server")
    restart = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    do(*serving, "patch", f"deployment/{MODEL}-predictor", "-p", json.dumps(restart), "--dry-run=server")
    do(*serving, "create", "configmap", "of-an-operator", "--from-literal=a=b")
    do(*serving, "delete", "configmap", "of-an-operator")
    do("-n", "dev-training", "create", "job", "of-an-operator", f"--from=cronjob/train-{MODEL}", "--dry-run=server")
    assert json.loads(project.stellwerk("runs", MODEL, "--json", **as_role).stdout)
    eventually("one pod of prod answers", 300, lambda: ready_pod(project))
    before = ready_pod(project)
    assert before in do(*serving, "get", "pods", "-l", SERVES, "-o", "name").split()
    project.kubectl("scale", *CONTROLLER, "--replicas=0")
    try:
        eventually("the controller is away", 300, lambda: not project.objects("pods", "-n", "dev-kserve"))
        do(*serving, "delete", before)
        eventually("prod's pod is back", 300, lambda: ready_pod(project) not in ("", before))
    finally:
        project.kubectl("scale", *CONTROLLER, "--replicas=2")
        project.kubectl("rollout", "status", *CONTROLLER, "--timeout=300s")


def ready_pod(project: Project) -> str:
    """The one pod of prod that answers, else nothing."""
    answering = [
        f"pod/{pod['metadata']['name']}"
        for pod in project.pods("-n", "prod-serving", "-l", SERVES)
        for condition in pod["status"].get("conditions", [])
        if condition["type"] == "Ready" and condition["status"] == "True"
    ]
    return answering[0] if len(answering) == 1 else ""


@pytest.mark.lane("test")
def test_pods_with_the_node_s_means_are_refused_where_no_label_says_so(kubectl: rights.Kubectl) -> None:
    for namespace in ("default", "kube-system", "local-path-storage"):
        code, said = kubectl("run", "mine", "--image=busybox", "-n", namespace, "--dry-run=server")
        assert code != 0
        assert 'violates PodSecurity "restricted:latest"' in said


@pytest.mark.lane("prod")
def test_a_namespace_s_node_ports_and_a_pod_s_processes_are_bounded(project: Project, kubectl: rights.Kubectl) -> None:
    service = ("create", "service", "nodeport", "mine", "--tcp=80", "-n", "dev-serving", "--dry-run=server")
    code, said = kubectl(*service)
    assert code != 0
    assert "exceeded quota" in said
    for pod in project.pods("-n", "prod-serving"):
        uid = pod["metadata"]["uid"]
        # A control group of the pod: version 1 has one tree per resource.
        limits = [
            place / "pids.max"
            for tree in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup")
            for place in Path(tree).glob(f"kubepods*/**/pod{uid}")
        ]
        assert limits
        assert {file.read_text().strip() for file in limits if file.exists()} == {"1024"}


@pytest.mark.lane("test")
def test_the_node_s_own_ports_do_not_answer_to_pods() -> None:
    """What listens on the node's address is what pods reach; these are on the loopback interface, or off."""
    for port in (8181, 10247, 10248, 10249, 10256, 10257, 10259):
        with socket.socket() as probe:
            assert probe.connect_ex((ADDRESS, port)) != 0, f"{port} answers"


def test_an_environment_s_login_pulls_and_does_not_push(project: Project) -> None:
    registry = project.values("dev")["stellwerk:registry"]["address"]
    own, builder = project.credentials("test")["registry"], project.credentials("dev")["registry"]["push"]
    trust = project.trust("dev")
    with httpx.Client(base_url=f"https://{registry}", verify=trust, trust_env=False, timeout=60) as client:
        login = (own["username"], own["password"])
        assert "serving" in client.get("/v2/_catalog", auth=login).json()["repositories"]
        assert client.post("/v2/serving/blobs/uploads/", auth=login).status_code == 401
        assert client.delete("/v2/serving/manifests/none", auth=login).status_code == 401
        allowed = client.post("/v2/serving/blobs/uploads/", auth=(builder["username"], builder["password"]))
        assert allowed.status_code == 202
