"""The command: an expected failure is one line, an answer for machines is JSON alone."""

import json
from typing import Any

import httpx
import pytest

from delivery.errors import DeliveryError
from delivery.project import Project
from delivery.terminal import environment_names
from infra.contract.release import Releases
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.engine import FakeEngine
from tests.support.pods import container, pod, replica_set, waiting
from tests.support.session import Bench, Command
from tests.support.stores import ObjectStores


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("promote digits --to prod", "test has no release of digits yet; run `stellwerk promote digits --to test`"),
        ("promote letters --to prod", "stacks/Pulumi.prod.yaml: there is no model 'letters'; models there: digits"),
        ("promote digits --to dev --release v9-00000000", "stacks/releases/digits/v9-00000000.yaml: there is no such"),
        ("rollback digits --env prod", "stacks/Pulumi.prod.yaml: digits has no previous release"),
        ("predict digits --env prod", "prod has no release of digits yet; run `stellwerk promote digits --to prod`"),
        ("predict letters --env prod --json", "stacks/Pulumi.prod.yaml: there is no model 'letters'"),
        ("train letters", "stacks/Pulumi.dev.yaml: stellwerk:training has no 'letters'; models there: digits"),
        ("train digits --param epoch=3 --json", "--param epoch=3: not known; allowed: epochs=…, learning_rate=…"),
        ("init test", "test: its registry is dev's; run `stellwerk init dev` first"),
    ],
)  # fmt: skip
def test_an_expected_failure_is_one_line(arguments: str, message: str, stellwerk: Command, releases: Releases) -> None:
    code, out, err = stellwerk(*arguments.split())
    assert code == 1
    assert out == ""
    (line,) = [line for line in err.splitlines() if not line.startswith("test: made the stack")]
    assert line.startswith(f"error: {message}")


def test_a_configuration_error_is_its_message(stellwerk: Command, project: Checkout) -> None:
    project.edit("prod", lambda config: config["models"][MODEL].update(replicas=0))
    code, out, err = stellwerk("status")
    assert code == 1
    assert out == ""
    assert err.startswith("error: stacks/Pulumi.prod.yaml:")
    assert "stellwerk:models.digits.replicas\n  given:   0\n" in err
    assert "Traceback" not in err


def test_markup_in_a_message_is_text(stellwerk: Command, bench: Bench) -> None:
    bench.engine.known.add("dev")
    bench.cluster.refused = DeliveryError("a list [1, 2] and [red]colour[/red]")
    assert stellwerk("drift", "--env", "dev") == (1, "", "error: a list [1, 2] and [red]colour[/red]\n")


def test_an_interruption_says_how_to_go_on(stellwerk: Command, bench: Bench) -> None:
    bench.cluster.refused = KeyboardInterrupt()
    code, out, err = stellwerk("train", MODEL)
    assert (code, out, err) == (130, "", "interrupted; run the same command again to go on\n")


def test_an_unknown_environment_is_refused_with_those_there_are(stellwerk: Command) -> None:
    code, out, err = stellwerk("promote", MODEL, "--to", "prd")
    assert code == 1
    assert out == ""
    assert err == 'error: environment "prd": unknown; allowed: dev, test, prod; did you mean prod?\n'


def answer(text: str) -> Any:
    """Standard output as JSON: nothing else may stand there."""
    return json.loads(text)


@pytest.mark.parametrize("ready", [True, False])
def test_status_as_json(
    ready: bool, stellwerk: Command, project: Checkout, pulumi: FakeEngine, releases: Releases
) -> None:
    project.point("prod", SECOND, FIRST)
    pulumi.serving["prod"] = SECOND if ready else FIRST
    code, out, err = stellwerk("status", "--json")
    assert code == (0 if ready else 1)
    assert err == ""
    config = project.config("prod")
    environments = answer(out)["environments"]
    assert environments["prod"]["models"][MODEL] == {
        "release": SECOND,
        "previous": FIRST,
        "answering": SECOND if ready else FIRST,
        "ready": ready,
        "reason": None,
        "artefact": None,
        "feedback": [],
        "url": f"https://{config['cluster']['address']}:{config['gateway']['nodePort']}/v2/models/digits",
    }
    assert environments["dev"]["models"][MODEL]["release"] is None


def test_status_says_when_a_pod_cannot_come_back(
    stellwerk: Command, project: Checkout, pulumi: FakeEngine, releases: Releases, stores: ObjectStores
) -> None:
    project.point("prod", SECOND, FIRST)
    pulumi.serving["prod"] = SECOND
    artefact = releases.load(MODEL, SECOND).artefact
    code, out, _ = stellwerk("status", "--json")
    assert (code, answer(out)["environments"]["prod"]["models"][MODEL]["artefact"]) == (1, "absent")
    stores.put("prod", artefact.key, b"x" * artefact.size)
    code, out, _ = stellwerk("status", "--json")
    state = answer(out)["environments"]["prod"]["models"][MODEL]
    assert (code, state["artefact"], state["ready"]) == (1, "changed", True)
    out = " ".join(stellwerk("status")[1].split())
    assert "digits in prod: its artefact is changed in the object store: a pod that restarts cannot come back" in out
    assert "`stellwerk promote digits --to prod` brings it again" in out


def test_status_says_why_a_release_does_not_answer(
    stellwerk: Command, project: Checkout, pulumi: FakeEngine, releases: Releases, bench: Bench
) -> None:
    project.point("prod", SECOND, FIRST)
    pulumi.serving["prod"] = FIRST
    killed = container(1, waiting=waiting("CrashLoopBackOff"), last={"reason": "OOMKilled", "exitCode": 137})
    bench.cluster.listed = lambda _: [replica_set(SECOND, 2), pod(2, killed)]
    reason = "pod-2, container kserve-container: OOMKilled: it needs more memory than its limit of 512Mi"
    _, out, _ = stellwerk("status", "--json")
    assert answer(out)["environments"]["prod"]["models"][MODEL]["reason"] == reason
    code, out, _ = stellwerk("status")
    assert code == 1
    assert reason in out
    bench.cluster.refused = DeliveryError("no cluster")
    code, out, err = stellwerk("status")
    assert (code, err) == (1, ""), "what answers is known without the cluster"


def test_status_as_a_table(stellwerk: Command, project: Checkout, pulumi: FakeEngine, releases: Releases) -> None:
    code, out, _ = stellwerk("status")
    assert code == 0, "no release yet is no failure"
    assert out.count("https") == 3
    assert "release yet" in " ".join(out.replace("│", "").split())


def test_logs_as_json(stellwerk: Command, bench: Bench) -> None:
    asked: list[Any] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        hits = [{"_source": {"message": "a [bold]word[/bold]"}}]
        return httpx.Response(200, json={"hits": {"hits": hits}})

    bench.log_store = respond
    code, out, err = stellwerk("logs", "--request-id", "r-1", "--env", "prod", "--release", FIRST, "-n", "3", "--json")
    assert (code, err) == (0, "")
    assert answer(out) == {"hits": [{"message": "a [bold]word[/bold]"}]}
    (query,) = asked
    fields = {"http.request.id": "r-1", "service.environment": "prod", "stellwerk.release": FIRST}
    terms = query["query"]["bool"]["filter"]
    assert ({field: value for term in terms for field, value in term["term"].items()}, query["size"]) == (fields, 3)
    line = stellwerk("logs", "--model", MODEL)[1]
    assert answer(line) == {"message": "a [bold]word[/bold]"}


def test_a_log_line_that_does_not_come_is_named(stellwerk: Command, bench: Bench) -> None:
    bench.log_store = lambda _: httpx.Response(200, json={"hits": {"hits": []}})
    code, out, err = stellwerk("logs", "--request-id", "r-1", "--wait")
    assert (code, out, err) == (1, "", "error: no log line with http.request.id=r-1 came within 60 s\n")
    assert 60 < bench.clock.now < 62


def test_runs_as_json(stellwerk: Command, bench: Bench) -> None:
    listed = {"info": {"run_id": "1", "status": "FINISHED", "start_time": 7}, "data": {}}

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/get-by-name"):
            return httpx.Response(200, json={"experiment": {"experiment_id": "4"}})
        assert json.loads(request.content)["experiment_ids"] == ["4"]
        return httpx.Response(200, json={"runs": [listed]})

    bench.tracking = respond
    code, out, err = stellwerk("runs", MODEL, "--json")
    assert (code, err) == (0, "")
    (run,) = answer(out)["runs"]
    assert (run["run_id"], run["status"], run["job"], run["metrics"]) == ("1", "FINISHED", None, {})
    assert stellwerk("runs", MODEL)[0] == 0


def test_a_model_without_runs_says_how_to_train_it(stellwerk: Command, bench: Bench) -> None:
    bench.tracking = lambda _: httpx.Response(404)
    message = "error: the tracking server has no run of digits yet; run `stellwerk train digits`\n"
    assert stellwerk("runs", MODEL) == (1, "", message)


def test_env_is_shell(stellwerk: Command) -> None:
    code, out, err = stellwerk("env")
    assert (code, err) == (0, "")
    assert all(line.startswith("export ") for line in out.splitlines())
    assert "export PULUMI_BACKEND_URL=" in out


def test_a_job_without_a_candidate_is_one_line(stellwerk: Command, stores: ObjectStores) -> None:
    code, out, err = stellwerk("release", MODEL, "--job", "none", "--json")
    assert (code, out) == (1, "")
    assert err.startswith("error: object store of dev (https://127.0.0.1:")
    assert err.endswith(f"there is no {stores.buckets['dev']}/candidates/digits/none.json\n")


def test_a_shell_completes_the_names_of_the_checkout_s_environments() -> None:
    """There may be none."""
    assert environment_names() == sorted(Project().environments)
