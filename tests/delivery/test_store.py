"""The copy of an artefact between two stores, over TLS, by an S3 server."""

import hashlib

import pytest

from delivery.clients import store, transfer
from delivery.errors import DeliveryError
from delivery.operations import authority
from infra.contract.artefact import StoredObject
from tests.support.checkout import Checkout
from tests.support.session import Bench
from tests.support.stores import ObjectStores

CONTENT = b"model" * 700_000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
KEY = f"digits/{DIGEST.replace(':', '-')}.onnx"
ARTEFACT = StoredObject.model_validate({"digest": DIGEST, "size": len(CONTENT), "key": KEY})


def copy(bench: Bench) -> int:
    session = bench.session()
    with session.store("dev") as source, session.store("test") as target:
        return transfer.copy(source, target, ARTEFACT)


def test_an_artefact_is_copied_once(bench: Bench, stores: ObjectStores) -> None:
    stores.put("dev", KEY, CONTENT)
    assert copy(bench) == len(CONTENT)
    assert stores.get("test", KEY) == CONTENT
    stores.client.delete_object(Bucket=stores.buckets["dev"], Key=KEY)
    assert copy(bench) == 0, "what is there already is not asked of the source again"


def test_a_cut_off_copy_is_made_again(bench: Bench, stores: ObjectStores) -> None:
    stores.put("dev", KEY, CONTENT)
    stores.put("test", KEY, CONTENT[:-1])
    assert copy(bench) == len(CONTENT)
    assert stores.get("test", KEY) == CONTENT


def test_content_that_was_changed_is_refused_and_the_target_stays_empty(bench: Bench, stores: ObjectStores) -> None:
    stores.put("dev", KEY, b"M" + CONTENT[1:])
    with pytest.raises(DeliveryError, match=rf"{KEY} has digest sha256:[0-9a-f]+, expected is {DIGEST}"):
        copy(bench)
    assert stores.keys("test") == []


@pytest.mark.parametrize("content", [CONTENT[:-1], b"M" + CONTENT[1:]], ids=["other size", "other content"])
def test_a_target_that_was_changed_is_copied_again(content: bytes, bench: Bench, stores: ObjectStores) -> None:
    stores.put("dev", KEY, CONTENT)
    stores.put("test", KEY, content)
    with bench.session().store("test") as target:
        assert store.content(target, ARTEFACT) is store.Content.CHANGED
    assert copy(bench) == len(CONTENT)
    assert stores.get("test", KEY) == CONTENT
    assert copy(bench) == 0
    with bench.session().store("test") as target:
        assert store.holds(target, ARTEFACT)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "there is no artefact {}"), (CONTENT[:-1], "{} has 3499999 bytes, expected is")],
    ids=["absent", "other size"],
)
def test_an_artefact_that_is_not_there_is_named(
    content: bytes | None, reason: str, bench: Bench, stores: ObjectStores
) -> None:
    if content:
        stores.put("dev", KEY, content)
    with pytest.raises(DeliveryError) as raised:
        copy(bench)
    assert str(raised.value).startswith("object store of dev (https://127.0.0.1:")
    assert reason.format(f"{stores.buckets['dev']}/{KEY}") in str(raised.value)
    assert stores.keys("test") == []


def test_a_small_object_is_read_or_named(bench: Bench, stores: ObjectStores) -> None:
    stores.put("dev", "candidates/digits/job.json", b"{}")
    with bench.session().store("dev") as source:
        assert store.read_json(source, "candidates/digits/job.json") == b"{}"
    with pytest.raises(DeliveryError, match=f"there is no {stores.buckets['dev']}/candidates/digits/other.json"):  # noqa: SIM117
        with bench.session().store("dev") as source:
            store.read_json(source, "candidates/digits/other.json")


def test_a_bucket_that_is_not_there_is_one_message(bench: Bench, stores: ObjectStores, project: Checkout) -> None:
    project.edit("test", lambda config: config["objectStore"].update(bucket="nowhere"))
    stores.put("dev", KEY, CONTENT)
    with pytest.raises(DeliveryError, match=r"^object store of test \(https://127\.0\.0\.1:\d+\): .*NoSuchBucket"):
        copy(bench)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again at once."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)


@pytest.mark.usefixtures("no_pauses")
def test_a_store_with_a_certificate_of_another_authority_is_refused(
    bench: Bench, stores: ObjectStores, project: Checkout
) -> None:
    other, _ = authority.make_authority("s3")
    project.edit("test", lambda config: config.update(caCertificate=other))
    stores.put("dev", KEY, CONTENT)
    with pytest.raises(DeliveryError, match=r"^object store of test \(.*certificate verify failed"):
        copy(bench)
    assert stores.keys("test") == []


@pytest.mark.usefixtures("no_pauses")
def test_a_store_that_does_not_answer_is_one_message(bench: Bench, stores: ObjectStores, project: Checkout) -> None:
    project.edit("dev", lambda config: config["objectStore"].update(nodePort=30001))
    with (
        pytest.raises(DeliveryError, match=r"^object store of dev \(https://127\.0\.0\.1:30001\): [^\n]*$"),
        bench.session().store("dev") as source,
    ):
        store.holds(source, ARTEFACT)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("failing", ["dev", "test"])
def test_of_two_stores_the_one_that_failed_is_named(
    failing: str, bench: Bench, stores: ObjectStores, project: Checkout
) -> None:
    stores.put("dev", KEY, CONTENT)
    project.edit(failing, lambda config: config["objectStore"].update(nodePort=30001))
    with (
        pytest.raises(DeliveryError, match=rf"^object store of {failing} "),
        bench.session().store(failing) as first,
        bench.session().store("dev" if failing == "test" else "test") as second,
    ):
        transfer.copy(*((first, second) if failing == "dev" else (second, first)), ARTEFACT)


@pytest.mark.usefixtures("no_pauses")
def test_a_proxy_for_the_internet_is_not_asked_for_the_own_store(
    bench: Bench, stores: ObjectStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.put("dev", KEY, CONTENT)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert copy(bench) == len(CONTENT)
