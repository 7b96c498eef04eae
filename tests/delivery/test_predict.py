"""`stellwerk predict`: the release's own example rows, asked at an endpoint and compared with their labels."""

import json

import httpx
import pytest

from delivery.clients.endpoint import RELEASE_HEADER
from infra.contract.release import Releases
from tests.support.checkout import FIRST, MODEL, SECOND, Checkout
from tests.support.examples import ROWS, name_examples
from tests.support.session import Bench, Command
from tests.support.stores import ObjectStores


@pytest.fixture
def rows(project: Checkout, releases: Releases, stores: ObjectStores) -> str:
    """prod's store has the example rows of the second release, which prod serves; their key."""
    key, content = name_examples(releases.file(MODEL, SECOND), MODEL)
    stores.put("prod", key, content)
    project.point("prod", SECOND, FIRST)
    return key


@pytest.fixture
def served(rows: str, bench: Bench) -> list[httpx.Request]:
    """An endpoint in prod that finds a 7 in every row; the requests it got."""
    requests: list[httpx.Request] = []

    def respond(_: str, request: httpx.Request) -> httpx.Response:
        requests.append(request)
        rows = json.loads(request.content)["inputs"][0]["shape"][0]
        scores = [1.0 if column == 7 else 0.0 for _ in range(rows) for column in range(10)]
        output = {"name": "scores", "datatype": "FP32", "shape": [rows, 10], "data": scores}
        return httpx.Response(200, json={"outputs": [output]}, headers={RELEASE_HEADER: SECOND})

    bench.respond = respond
    return requests


def test_predict_as_json(stellwerk: Command, served: list[httpx.Request]) -> None:
    code, out, err = stellwerk("predict", MODEL, "--env", "prod", "--all-held-out", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["release"] == SECOND
    assert result["rows"] == len(result["labels"]) == ROWS
    assert set(result["predictions"]) == {7}
    assert result["metrics"]["accuracy"] == result["labels"].count(7) / result["rows"]
    assert result["expected_metrics"]["accuracy"] == 0.97
    assert [request.headers["x-request-id"] for request in served] == result["request_ids"]


def test_predict_for_people(stellwerk: Command, served: list[httpx.Request]) -> None:
    code, out, err = stellwerk("predict", MODEL, "--env", "prod")
    assert (code, err) == (0, "")
    assert f"prod answers with {SECOND}: 5 rows, accuracy" in " ".join(out.split())


def test_rows_that_were_changed_in_the_store_are_not_asked(
    stellwerk: Command, rows: str, stores: ObjectStores, served: list[httpx.Request]
) -> None:
    stores.put("prod", rows, b"x" * len(stores.get("prod", rows)))
    code, out, err = stellwerk("predict", MODEL, "--env", "prod")
    assert (code, out, served) == (1, "", [])
    assert f"{rows} has digest sha256:" in err


def test_a_release_without_rows_says_what_to_do(stellwerk: Command, project: Checkout, releases: Releases) -> None:
    """As those that were made before training published them."""
    project.point("prod", SECOND)
    code, out, err = stellwerk("predict", MODEL, "--env", "prod")
    assert (code, out) == (1, "")
    assert err == (
        f"error: release {SECOND} of digits has no example rows: it was made before training published them; ask with "
        "a request of your own, `stellwerk predict digits --env prod --input request.json`, or train and release the "
        "model again\n"
    )


def test_an_endpoint_that_refuses_is_one_line(stellwerk: Command, rows: str, project: Checkout, bench: Bench) -> None:
    bench.respond = lambda *_: httpx.Response(503, text="no pod\n")
    code, out, err = stellwerk("predict", MODEL, "--env", "prod", "--json")
    assert (code, out) == (1, "")
    address = f"https://127.0.0.1:{project.config('prod')['gateway']['nodePort']}/v2/models/digits"
    assert err == f"error: {address}: 503 no pod; see `stellwerk status`\n"
