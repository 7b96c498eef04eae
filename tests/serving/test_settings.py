"""Settings of server and fetcher."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.errors import StartError
from serving.settings import File, fetch, serve
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


ZEROS = f"sha256:{'0' * 64}"
WEIGHTS = {"name": "model.onnx.data", "digest": ZEROS, "size": 7, "key": "digits/weights"}
STORE = {"MODEL_BUCKET": "models", "MODEL_KEY": "digits/model.onnx"}


def test_an_artefact_may_have_further_files() -> None:
    environ = environment(Path("/m/model.onnx"), **STORE)
    assert serve(environ).files == fetch(environ).files == ()
    environ["ARTEFACT_FILES"] = json.dumps([WEIGHTS, WEIGHTS | {"name": "a/b", "size": 0}])
    files = (File("model.onnx.data", ZEROS, 7, "digits/weights"), File("a/b", ZEROS, 0, "digits/weights"))
    assert serve(environ).files == fetch(environ).files == files


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("[", "ARTEFACT_FILES is no JSON: "),
        ("{}", "ARTEFACT_FILES is {}; expected a list"),
        (["a"], r"entry 0 \(counted from 0\) is 'a'; expected an object with the keys name, digest, size, key"),
        ([WEIGHTS, {"name": "a"}], "entry 1 .* is {'name': 'a'}; expected an object with the keys"),
        ([WEIGHTS | {"mode": 7}], "entry 0 .*; expected an object with the keys"),
        ([WEIGHTS | {"name": "../a"}], r"entry 0 .*: name is '\.\./a'; expected a path below"),
        ([WEIGHTS | {"name": ".."}], r"name is '\.\.'"),
        ([WEIGHTS | {"name": "a//b"}], "name is 'a//b'"),
        ([WEIGHTS | {"name": "a/../b"}], r"name is 'a/\.\./b'"),
        ([WEIGHTS | {"name": "a/b"}, WEIGHTS | {"name": "a"}], "has 'a' as a file and as a folder"),
        ([WEIGHTS | {"name": "model.onnx/b"}], r"has 'model\.onnx' as a file and as a folder"),
        ([WEIGHTS | {"name": "/a"}], "name is '/a'"),
        ([WEIGHTS | {"name": ".a"}], r"name is '\.a'"),
        ([WEIGHTS | {"name": ""}], "name is ''"),
        ([WEIGHTS | {"name": "a\n"}], "name is "),
        ([WEIGHTS | {"name": "a" * 256}], "name is "),
        ([WEIGHTS | {"name": 7}], "name is 7"),
        ([WEIGHTS, WEIGHTS], "names 'model.onnx.data' twice, or as the model itself is called"),
        ([WEIGHTS | {"name": "model.onnx"}], "names 'model.onnx' twice, or as the model itself is called"),
        ([WEIGHTS | {"digest": "sha256:0"}], "digest is 'sha256:0'; expected sha256: and 64 hexadecimal digits"),
        ([WEIGHTS | {"size": -1}], "size is -1; expected a number of bytes"),
        ([WEIGHTS | {"size": True}], "size is True"),
        ([WEIGHTS | {"size": "7"}], "size is '7'"),
        ([WEIGHTS | {"key": ""}], "key is ''; expected the key of an object in the store"),
    ],
)
def test_a_file_that_is_not_allowed_is_named(files: Any, message: str) -> None:
    environ = environment(
        Path("/m/model.onnx"), **STORE, ARTEFACT_FILES=files if isinstance(files, str) else json.dumps(files)
    )
    for read in (serve, fetch):
        with pytest.raises(StartError, match=message):
            read(environ)
