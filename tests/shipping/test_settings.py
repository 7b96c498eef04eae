"""Whether a process ships its lines, by its variables."""

import json

import pytest

from shipping import start

WHOLE = {
    "LOG_STORE": "https://127.0.0.1:1", "LOG_INDEX": "logs-stellwerk-test", "LOG_SECRETS": "/none",
    "LOG_CONTAINER": "main", "POD_NAMESPACE": "test-serving", "POD_NAME": "digits-1", "POD_UID": "uid-1",
}  # fmt: skip


def test_without_a_store_nothing_is_shipped() -> None:
    assert start({}, "serving") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"POD_UID": ""}, "POD_UID must be set where LOG_STORE is"),
     ({"LOG_INDEX": ""}, "LOG_DATA_STREAM or LOG_INDEX must be set"),
     ({"LOG_STORE": "http://x"}, "LOG_STORE is 'http://x'; allowed is an https URL")],
)  # fmt: skip
def test_what_is_wrong_in_the_variables_is_said_and_stops_nobody(
    changes: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start({**WHOLE, **changes}, "serving") is None
    assert message in json.loads(capsys.readouterr().out)["message"]
