"""A model with code of its own, served by the real server: what hooks answer, and how they fail."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.test_server import start_refused
from tests.support import plain_http
from tests.support.onnx_models import digest_of, doubling_model
from tests.support.server import Server

INFER = "/v2/models/digits/infer"
TEXT = {"name": "text", "datatype": "BYTES", "shape": [-1]}
PIXELS = {"name": "pixels", "datatype": "FP32", "shape": [-1, 3]}
FILE_OUTPUTS = [
    {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
    {"name": "best", "datatype": "INT64", "shape": [-1]},
]
OUTPUTS = [FILE_OUTPUTS[0], {"name": "word", "datatype": "BYTES", "shape": [-1]}]
DECODE = """
import numpy as np

from .words import COUNTED


def decode(inputs, folder):
    for text in inputs["text"]:
        if not text:
            raise ValueError("an empty text says nothing")
    if "boom" in inputs["text"]:
        return {}["boom"]
    counts = [[text.count(word) for word in COUNTED] for text in inputs["text"]]
    return {"pixels": np.array(counts, np.float32)}
"""
ENCODE = """

def encode(outputs, folder):
    words = np.array(COUNTED)[outputs["best"]]
    return {"scores": outputs["scores"], "word": words}
"""
PREDICT = """

def predict(inputs, folder):
    assert [file.name for file in folder.glob("*.onnx")] == ["model.onnx"]
    scores = 2 * inputs["pixels"]
    return {"scores": scores, "best": scores.argmax(axis=1)}
"""


def hooks(folder: Path, code: str = DECODE + ENCODE, **interface: Any) -> Path:
    """Write the folder of a model's serving image."""
    place = folder / "hooks"
    place.mkdir()
    (place / "serve.py").write_text(code)
    (place / "words.py").write_text('COUNTED = ["good", "bad", "dull"]\n')
    document = {"inputs": [TEXT], "outputs": OUTPUTS, "session": {"inputs": [PIXELS], "outputs": FILE_OUTPUTS}}
    (place / "interface.json").write_text(json.dumps(document | interface))
    return place


def ask(server: Server, *texts: str, **more: Any) -> httpx.Response:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": list(texts)}
    return plain_http.post(f"{server.url}{INFER}", json={"inputs": [tensor]} | more, headers={"x-request-id": "asked"})


Start = Callable[..., Server]


def test_hooks_stand_around_the_session(start: Start, tmp_path: Path) -> None:
    server = start(MODEL_HOOKS=str(hooks(tmp_path)))
    metadata = plain_http.get(f"{server.url}/v2/models/digits").json()
    assert (metadata["inputs"], metadata["outputs"]) == ([TEXT], OUTPUTS)
    answered = ask(server, "good, good and dull", "bad").json()["outputs"]
    assert answered == [
        {"name": "scores", "datatype": "FP32", "shape": [2, 3], "data": [4, 0, 2, 0, 2, 0]},
        {"name": "word", "datatype": "BYTES", "shape": [2], "data": ["good", "bad"]},
    ]
    (only,) = ask(server, "dull", outputs=[{"name": "word"}]).json()["outputs"]
    assert only["data"] == ["dull"]


def test_predict_answers_instead_of_the_session(start: Start, tmp_path: Path) -> None:
    server = start(MODEL_HOOKS=str(hooks(tmp_path, DECODE + PREDICT + ENCODE)))
    scores, word = ask(server, "bad and bad").json()["outputs"]
    assert (scores["data"], word["data"]) == ([0, 4, 0], ["bad"])


def test_a_value_error_of_decode_is_the_clients_fault(start: Start, tmp_path: Path) -> None:
    server = start(MODEL_HOOKS=str(hooks(tmp_path)))
    response = ask(server, "good", "")
    assert (response.status_code, response.json()) == (400, {"error": "an empty text says nothing"})
    (line,) = server.inferences("asked")
    assert line["error.message"] == "an empty text says nothing (serve.py:10)"


def test_a_hook_that_fails_is_named_and_its_line_is_logged(start: Start, tmp_path: Path) -> None:
    server = start(MODEL_HOOKS=str(hooks(tmp_path)))
    response = ask(server, "boom")
    assert (response.status_code, response.json()) == (500, {"error": "the model's decode failed: KeyError"})
    (line,) = server.inferences("asked")
    assert line["log.level"] == "error"
    assert line["error.message"] == "the model's decode failed: KeyError (serve.py:12: KeyError: 'boom')"
    assert ask(server, "good").status_code == 200


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (DECODE.replace("np.float32", "np.float64") + ENCODE, "decode returned pixels as float64; expected is FP32"),
        (
            DECODE.replace("np.array(counts, np.float32)", "counts") + ENCODE,
            "pixels as list; expected is a NumPy array",
        ),
        (DECODE.replace('"pixels": np', '"pixel": np') + ENCODE, "decode returned pixel; expected are arrays by name"),
        (
            DECODE.replace("np.array(counts", "np.array(counts[:1]") + ENCODE,
            "with the shape [1, 3]; expected is [2, 3]",
        ),
        (
            DECODE + ENCODE.replace("[outputs", "[:2][0 * outputs").replace("words}", "words[:1]}"),
            "word with the shape",
        ),
        (DECODE + ENCODE.replace("words}", 'np.array([1, "a"], object)}'), "encode returned word as object"),
        (DECODE + ENCODE.replace("return {", "return None; {"), "encode returned NoneType"),
        (DECODE + PREDICT.replace("2 * inputs", "np.float16(2) * 1j * inputs") + ENCODE, "predict returned scores as"),
    ],
)
def test_what_a_hook_must_not_return_is_named(code: str, reason: str, start: Start, tmp_path: Path) -> None:
    server = start(MODEL_HOOKS=str(hooks(tmp_path, code)))
    response = ask(server, "good", "bad")
    assert response.status_code == 500
    assert reason in response.json()["error"]
    (line,) = server.inferences("asked")
    assert "(serve.py:" in line["error.message"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nowhere\n", "serve.py:1: serve.py cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("def decode(\n", "serve.py:1: serve.py cannot be imported: SyntaxError"),
        ("\nraise SystemExit(0)\n", "serve.py:2: serve.py cannot be imported: SystemExit: 0"),
        ("def decoded(inputs, folder):\n    return inputs\n", "has none of the functions decode, predict, encode"),
    ],
)
def test_a_server_whose_hooks_cannot_be_imported_does_not_start(code: str, reason: str, tmp_path: Path) -> None:
    assert reason in refused(tmp_path, hooks(tmp_path, code))


def test_a_file_that_is_not_the_hooks_own_is_not_served(tmp_path: Path) -> None:
    other = {"inputs": [{**PIXELS, "shape": [-1, 4]}], "outputs": FILE_OUTPUTS}
    message = refused(tmp_path, hooks(tmp_path, session=other))
    assert message.startswith("the inputs of the model's file are pixels FP32 [-1, 3], those that serve.py was built")


def test_without_the_setting_no_code_of_a_model_is_imported(start: Start, tmp_path: Path) -> None:
    hooks(tmp_path, "raise SystemExit(1)\n")
    assert plain_http.get(f"{start().url}/v2/models/digits").json()["inputs"] == [PIXELS]


def test_an_image_without_an_interface_does_not_start(tmp_path: Path) -> None:
    place = hooks(tmp_path)
    (place / "interface.json").unlink()
    assert "interface.json: not the interface of a model" in refused(tmp_path, place)


def refused(folder: Path, place: Path) -> str:
    content, path = doubling_model(), folder / "model.onnx"
    path.write_bytes(content)
    return start_refused(path, MODEL_DIGEST=digest_of(content), MODEL_HOOKS=str(place))
