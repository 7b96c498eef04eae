"""What is measured of a model with `serve.py` is what its server answers, to every held-out row."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from infra.composition import hooks
from infra.contract.model import Models
from tests.support import linear, plain_http
from tests.support.models import HOOKED, place
from tests.support.server import Server, start
from training import data, pipeline
from training.author import Run, read_author
from training.document import read_model

__all__ = ["start"]


def test_the_server_answers_as_training_has_measured(start: Callable[..., Server], tmp_path: Path) -> None:
    folder = place(tmp_path / "model", "texts", HOOKED)
    model, author = read_model(folder), read_author(folder)
    dataset = data.load(model, author)
    product = pipeline.make(model, author, linear, dataset, model.defaults, Run("cpu", lambda *_: None))
    image = hooks.staged(Models(HOOKED), "texts", tmp_path / "image")
    server = start(product.content, MODEL_HOOKS=str(image), MODEL_NAME="texts")
    texts = dataset.held_out.inputs["text"].tolist()
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    answered = plain_http.post(f"{server.url}/v2/models/texts/infer", json={"inputs": [tensor]}).json()["outputs"]
    given = {output["name"]: output["data"] for output in answered}
    assert np.allclose(given["log_odds"], product.answers["log_odds"], atol=1e-5)
    assert given["word"] == product.answers["word"].tolist()
