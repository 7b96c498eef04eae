"""Tumours: a neural network with one hidden layer on measures of cells."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

from training.author import Rows, Run


def load() -> Mapping[str, NDArray[Any]]:
    """Return 569 tumours by 30 measures of their cells, and which of them are malignant."""
    bunch = load_breast_cancer()
    # There 1 is benign.
    return {"measures": bunch.data.astype(np.float32), "malignant": 1 - bunch.target}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Any:
    """Return the trained network, a keras.Model on raw measures [rows, 30] with the log-odds [rows, 1]."""
    # Only here: whoever looks at the data alone needs no Keras.
    import keras

    measures = rows.inputs["measures"]
    network = keras.Sequential(
        [
            keras.layers.Input((measures.shape[1],)),
            keras.layers.Normalization(mean=measures.mean(axis=0), variance=measures.var(axis=0)),
            keras.layers.Dense(int(parameters["hidden"]), activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    network.compile(keras.optimizers.Adam(0.01), keras.losses.BinaryCrossentropy(from_logits=True))
    history = network.fit(measures, rows.target, epochs=int(parameters["epochs"]), verbose=0)
    for epoch, loss in enumerate(history.history["loss"], 1):
        run.log("train_loss", loss, epoch)
    return network
