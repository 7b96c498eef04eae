"""The wait for KServe's new controller, against kubectl's answers as a cluster gives them."""

import asyncio
import json

import pytest

from components.serving.controller_rollout import until_replaced
from components.serving.looks import NotServingError, UnansweredError

ENDING = "kserve-controller-manager-6d5f-abcde"
REFUSED = UnansweredError("kubectl create: failed calling webhook: connection refused")


class Cluster:
    """Answers kubectl: which pods are ending, what the webhooks say; one after the other, the last for ever."""

    def __init__(self, ending: list[str | Exception], taken: list[Exception | None]) -> None:
        self.ending, self.taken = ending, taken
        self.asked: list[tuple[str, ...]] = []
        self.given: list[str] = []
        self.reported: list[str] = []

    def __call__(self, *words: str, stdin: str = "") -> str:
        self.asked.append(words)
        looked = words[0] == "get"
        answers: list[str | Exception] | list[Exception | None] = self.ending if looked else self.taken
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if not looked:
            self.given.append(stdin)
        return answer or ""

    def dry_runs(self) -> int:
        return sum(words[:2] == ("create", "--dry-run=server") for words in self.asked)

    def wait(self, seconds: float = 60) -> None:
        asyncio.run(until_replaced("kserve", self, self.reported.append, seconds, rest=0))


def test_three_dry_runs_pass_where_nothing_of_before_is_left() -> None:
    cluster = Cluster([""], [None])
    cluster.wait()
    assert cluster.asked[0][:4] == ("get", "pods", "--selector", "app=kserve")
    assert cluster.dry_runs() == len(cluster.given) == 3
    assert json.loads(cluster.given[0])["kind"] == "InferenceService"
    assert cluster.reported == []


def test_nothing_is_asked_of_webhooks_while_a_pod_of_before_ends() -> None:
    cluster = Cluster([ENDING, ENDING, ""], [None])
    cluster.wait()
    assert [words[0] for words in cluster.asked[:4]] == ["get", "get", "get", "create"]
    assert cluster.dry_runs() == 3


@pytest.mark.parametrize("answers", [[None, None, REFUSED, None], [REFUSED, None]])
def test_a_refusal_begins_the_count_again(answers: list[Exception | None]) -> None:
    refused = answers.index(REFUSED) + 1
    cluster = Cluster([""], answers)
    cluster.wait()
    assert cluster.dry_runs() == refused + 3
    assert cluster.reported == []


def test_a_look_without_an_answer_begins_it_again_too() -> None:
    cluster = Cluster(["", "", UnansweredError("kubectl get: timeout"), ""], [None])
    cluster.wait()
    assert cluster.dry_runs() == 5


@pytest.mark.parametrize(
    ("cluster", "reason"),
    [
        pytest.param(Cluster([ENDING], [None]), ENDING, id="a pod on a node that is lost never ends"),
        pytest.param(Cluster([""], [REFUSED]), "connection refused", id="the webhooks never answer"),
    ],
)
def test_what_stays_amiss_is_reported_and_the_update_goes_on(cluster: Cluster, reason: str) -> None:
    cluster.wait(seconds=-1)
    (said,) = cluster.reported
    assert reason in said
    assert "apply again" in said


def test_without_kubectl_nothing_is_waited_for() -> None:
    cluster = Cluster([NotServingError("kubectl is not on PATH")], [None])
    with pytest.raises(NotServingError, match="not on PATH"):
        cluster.wait()
    assert cluster.reported == []
