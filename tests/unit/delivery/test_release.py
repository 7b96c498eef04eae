"""`stellwerk release`: a candidate becomes an immutable file, once."""

import hashlib
import json
from typing import Any

import pytest

from delivery import release
from delivery.errors import DeliveryError
from infra.releases import Releases
from tests.unit.delivery.conftest import MODEL, Engine, ObjectStores, Project
from training.candidate import Artefact, RunReference, build
from training.data import load
from training.evaluation import GateResult
from training.export import Parity
from training.settings import Hyperparameters, Request, Surroundings

IMAGE = f"registry.test/serving@sha256:{'5' * 64}"


def candidate(number: int, *, passed: bool = True, commit: str = "0123456", run: str = "run-1") -> dict[str, Any]:
    """What a training Job writes, by training's own code."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    surroundings = Surroundings(
        tracking_uri="http://tracking.test",
        bucket="models",
        job=f"train-digits-{number}",
        image=f"registry.test/training@sha256:{'1' * 64}",
        commit=commit,
        device="cpu",
    )
    return build(
        Request(MODEL, Hyperparameters(), ("REQ-1",)),
        surroundings,
        load(MODEL),
        Artefact(f"sha256:{digest}", 12345, f"{MODEL}/sha256-{digest}.onnx"),
        RunReference(MODEL, run, str(number)),
        {"accuracy": 0.97, "loss": 9.5367431640625e-07},
        [GateResult("accuracy", ">=", 0.85, 0.97 if passed else 0.5, passed)],
        Parity(9.5367431640625e-07, 360),
    )


class Jobs:
    """Training Jobs that have written their candidates."""

    def __init__(self, stores: ObjectStores) -> None:
        self._stores = stores

    def done(self, job: str, document: dict[str, Any]) -> str:
        self._stores.put("dev", f"candidates/{MODEL}/{job}.json", json.dumps(document).encode())
        return job


@pytest.fixture
def jobs(stores: ObjectStores, pulumi: Engine) -> Jobs:
    pulumi.stacks.add("dev")
    pulumi.outputs = {"images": {"serving": IMAGE}}
    return Jobs(stores)


@pytest.fixture
def store(project: Project) -> Releases:
    return release.RELEASES


def digest_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_a_release_says_what_the_candidate_says(jobs: Jobs, store: Releases) -> None:
    given = candidate(1)
    identity = release.release(MODEL, jobs.done("one", given))
    assert identity == f"v1-{digest_of(1)[:8]}"
    found = store.load(MODEL, identity).model_dump(mode="json", by_alias=True)
    assert found["metadata"] == {"model": MODEL, "release": identity, "created": given["created"]}
    assert found["serving"] == {"image": IMAGE}
    for part in ("artefact", "training", "data", "run", "interface", "evaluation", "reference", "requirements"):
        assert found[part] == given[part], part


def test_releases_are_numbered(jobs: Jobs, store: Releases) -> None:
    made = [release.release(MODEL, jobs.done(str(number), candidate(number))) for number in (1, 2)]
    assert [identity.split("-")[0] for identity in made] == ["v1", "v2"]
    text = store.file(MODEL, made[0]).read_text()
    for number in (9, 10):
        identity = made[0].replace("v1-", f"v{number}-")
        store.file(MODEL, identity).write_text(text.replace(made[0], identity))
    assert release.release(MODEL, jobs.done("3", candidate(3))).startswith("v11-"), "10 comes after 9"


def test_the_same_artefact_is_the_same_release(jobs: Jobs, store: Releases) -> None:
    first = release.release(MODEL, jobs.done("one", candidate(1)))
    second = release.release(MODEL, jobs.done("two", candidate(2)))
    before = store.file(MODEL, first).read_bytes()
    assert release.release(MODEL, jobs.done("again", candidate(1, run="run-2"))) == first
    assert store.ids(MODEL) == [first, second]
    assert store.file(MODEL, first).read_bytes() == before


def test_a_missed_gate_is_named_and_nothing_released(jobs: Jobs, store: Releases) -> None:
    with pytest.raises(DeliveryError) as raised:
        release.release(MODEL, jobs.done("one", candidate(1, passed=False)))
    assert str(raised.value) == "candidate of one: gates not passed: accuracy; nothing is released"
    assert store.ids(MODEL) == []


def test_an_absent_candidate_is_named(jobs: Jobs, stores: ObjectStores, store: Releases) -> None:
    with pytest.raises(DeliveryError, match=f"there is no {stores.buckets['dev']}/candidates/digits/none.json"):
        release.release(MODEL, "none")
    assert store.ids(MODEL) == []


def test_a_candidate_that_makes_no_release_names_the_keys(jobs: Jobs, store: Releases) -> None:
    given = candidate(1)
    given["training"]["commit"] = "main"
    given["data"]["rows"]["train"] = -1
    with pytest.raises(DeliveryError, match=r"does not make a release; wrong: \"training\.commit, data\.rows\.train\""):
        release.release(MODEL, jobs.done("one", given))
    assert not store.folder.exists()


@pytest.mark.parametrize("text", ["1234567", "1234e567", "0123456789012345"])
def test_texts_that_look_like_numbers_stay_texts(text: str, jobs: Jobs, store: Releases) -> None:
    identity = release.release(MODEL, jobs.done("one", candidate(1, commit=text, run=text)))
    found = store.load(MODEL, identity)
    assert (found.training.commit, found.run.run_id) == (text, text)


def test_a_release_file_is_never_overwritten(jobs: Jobs, store: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else releases the same at the same moment."""
    identity = release.release(MODEL, jobs.done("one", candidate(1)))
    before = store.file(MODEL, identity).read_bytes()
    monkeypatch.setattr(Releases, "ids", lambda *_: [])
    with pytest.raises((FileExistsError, DeliveryError)):
        release.release(MODEL, jobs.done("again", candidate(1, run="run-2")))
    assert store.file(MODEL, identity).read_bytes() == before


def test_a_file_is_complete_or_not_there(jobs: Jobs, store: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(release.os, "link", interrupt)
    with pytest.raises(KeyboardInterrupt):
        release.release(MODEL, jobs.done("one", candidate(1)))
    assert store.ids(MODEL) == []


def test_rows_of_numbers_are_written_as_rows(jobs: Jobs, store: Releases) -> None:
    """64 features: a line per number would hide everything else in a review."""
    identity = release.release(MODEL, jobs.done("one", candidate(1)))
    lines = store.file(MODEL, identity).read_text().splitlines()
    assert len(lines) < 80
    assert max(map(len, lines)) < 200
