"""Settings of the server."""

from pathlib import Path

import pytest

from serving.errors import StartError
from serving.settings import serve
from tests.support.server import environment


def test_defaults() -> None:
    environ = environment(Path("model.onnx"))
    for name in ("MODEL_PATH", "DRAIN_SECONDS"):
        del environ[name]
    wanted = serve(environ)
    assert (str(wanted.path), wanted.port) == ("/mnt/models/model.onnx", 8080)
    assert (wanted.drain_seconds, wanted.intra_op_threads) == (5, 1)
    assert not wanted.null_if_not_finite


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MODEL_NAME": "", "RUN_ID": ""}, "MODEL_NAME, RUN_ID must be set"),
        ({"PORT": "http"}, "PORT is 'http'; allowed are whole numbers from 1 to 65535"),
        ({"PORT": "70000"}, "PORT is '70000'"),
        ({"DRAIN_SECONDS": "-1"}, "DRAIN_SECONDS is '-1'; allowed are whole numbers from 0 to 600"),
        ({"INTRA_OP_THREADS": "0"}, "INTRA_OP_THREADS is '0'"),
        ({"NONFINITE_OUTPUTS": "zero"}, "NONFINITE_OUTPUTS is 'zero'; allowed are refuse, null"),
    ],
)
def test_what_is_not_allowed_is_named(change: dict[str, str], message: str) -> None:
    with pytest.raises(StartError, match=message):
        serve(environment(Path("model.onnx"), **change))
