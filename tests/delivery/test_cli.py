"""The command: an expected failure is one line, an answer for machines is JSON alone."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from delivery import cli
from delivery.clients import logs, runs
from delivery.errors import DeliveryError
from delivery.operations import pods, release, train
from infra.contract.release import Releases
from tests.delivery.conftest import FIRST, MODEL, SECOND, Engine, ObjectStores, Project

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stellwerk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pulumi: Engine) -> Command:
    """Runs the command in this process; its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["stellwerk", *arguments])
        monkeypatch.setenv("COLUMNS", "60")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return run


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


def test_a_configuration_error_is_its_message(stellwerk: Command, project: Project) -> None:
    project.edit("prod", lambda config: config["models"][MODEL].update(replicas=0))
    code, out, err = stellwerk("status")
    assert code == 1
    assert out == ""
    assert err.startswith("error: stacks/Pulumi.prod.yaml:")
    assert "stellwerk:models.digits.replicas\n  given:   0\n" in err
    assert "Traceback" not in err


def test_markup_in_a_message_is_text(stellwerk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise DeliveryError("a list [1, 2] and [red]colour[/red]")

    monkeypatch.setattr("delivery.operations.status.status", fail)
    assert stellwerk("status") == (1, "", "error: a list [1, 2] and [red]colour[/red]\n")


def test_an_interruption_is_no_traceback(stellwerk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("delivery.operations.status.status", interrupt)
    code, out, err = stellwerk("status")
    assert (code, out) == (130, "")
    assert "Traceback" not in err


def test_an_unknown_environment_is_refused_with_those_there_are(stellwerk: Command) -> None:
    code, out, err = stellwerk("promote", MODEL, "--to", "prd")
    assert code == 2
    assert out == ""
    for name in ("dev", "test", "prod"):
        assert f"'{name}'" in err


def answer(text: str) -> Any:
    """Standard output as JSON: nothing else may stand there."""
    return json.loads(text)


@pytest.mark.parametrize("ready", [True, False])
def test_status_as_json(ready: bool, stellwerk: Command, project: Project, pulumi: Engine, releases: Releases) -> None:
    project.point("prod", SECOND, FIRST)
    pulumi.serving["prod"] = SECOND if ready else FIRST
    code, out, err = stellwerk("status", "--json")
    assert code == (0 if ready else 1)
    assert err == ""
    found = answer(out)["environments"]
    assert found["prod"]["models"][MODEL] == {
        "release": SECOND,
        "previous": FIRST,
        "answering": SECOND if ready else FIRST,
        "ready": ready,
        "reason": None,
        "artefact": None,
        "url": "https://198.18.0.1:30445/v2/models/digits",
    }
    assert found["dev"]["models"][MODEL]["release"] is None


def test_status_says_when_a_pod_cannot_come_back(
    stellwerk: Command, project: Project, pulumi: Engine, releases: Releases, stores: ObjectStores
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
    stellwerk: Command, project: Project, pulumi: Engine, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.point("prod", SECOND, FIRST)
    pulumi.serving["prod"] = FIRST
    trouble = pods.Trouble(
        "crash", "pod", "c", "pod, container c: OOMKilled: it needs more memory than its limit of 1Gi"
    )
    monkeypatch.setattr(pods, "troubles", lambda *_: [trouble])
    _, out, _ = stellwerk("status", "--json")
    assert answer(out)["environments"]["prod"]["models"][MODEL]["reason"] == trouble.text
    code, out, _ = stellwerk("status")
    assert code == 1
    assert trouble.text in out
    monkeypatch.setattr(pods, "troubles", lambda *_: (_ for _ in ()).throw(DeliveryError("no cluster")))
    code, out, err = stellwerk("status")
    assert (code, err) == (1, ""), "what answers is known without the cluster"


def test_status_as_a_table(stellwerk: Command, project: Project, pulumi: Engine, releases: Releases) -> None:
    code, out, _ = stellwerk("status")
    assert code == 0, "no release yet is no failure"
    assert out.count("https") == 3
    assert "release yet" in " ".join(out.replace("│", "").split())


def test_train_as_json(stellwerk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def start(model: str, parameters: list[str], requirements: list[str], console: Any) -> str:
        console.print("job train-digits-1: started")
        seen.append((model, parameters, requirements))
        return "train-digits-1"

    monkeypatch.setattr(train, "train", start)
    monkeypatch.setattr(train, "wait", lambda job, console: console.print(f"following {job}"))
    given = ("--param", "epochs=3", "--param", "seed=1", "--requirement", "REQ-1", "--wait", "--json")
    code, out, err = stellwerk("train", MODEL, *given)
    assert (code, answer(out)) == (0, {"job": "train-digits-1"})
    assert "following train-digits-1" in err
    assert seen == [(MODEL, ["epochs=3", "seed=1"], ["REQ-1"])]


def test_release_as_json(stellwerk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "release", lambda model, job: FIRST)
    code, out, err = stellwerk("release", MODEL, "--job", "one", "--json")
    assert (code, err) == (0, "")
    assert answer(out) == {"release": FIRST, "file": f"stacks/releases/{MODEL}/{FIRST}.yaml"}
    assert stellwerk("release", MODEL, "--job", "one")[1] == f"stacks/releases/{MODEL}/{FIRST}.yaml\n"


def test_logs_as_json(stellwerk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def search(filters: dict[str, str], limit: int, *, wait: bool) -> list[dict[str, Any]]:
        seen.append((filters, limit, wait))
        return [{"message": "a [bold]word[/bold]"}]

    monkeypatch.setattr(logs, "logs", search)
    code, out, err = stellwerk("logs", "--request-id", "r-1", "--env", "prod", "--release", FIRST, "-n", "3", "--json")
    assert (code, err) == (0, "")
    assert answer(out) == {"hits": [{"message": "a [bold]word[/bold]"}]}
    asked = {"http.request.id": "r-1", "service.environment": "prod", "stellwerk.release": FIRST}
    assert seen == [(asked, 3, False)]
    line = stellwerk("logs", "--model", MODEL)[1]
    assert answer(line) == {"message": "a [bold]word[/bold]"}


def test_runs_as_json(stellwerk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    run = {"run_id": "1", "status": "FINISHED", "job": None, "metrics": {}, "commit": None}
    monkeypatch.setattr(runs, "runs", lambda model, lines: [run])
    code, out, err = stellwerk("runs", MODEL, "--json")
    assert (code, err) == (0, "")
    assert answer(out) == {"runs": [run]}
    assert stellwerk("runs", MODEL)[0] == 0


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
