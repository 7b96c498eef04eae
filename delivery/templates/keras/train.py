"""How much power a heat pump takes, by the weather."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.author import Rows, Run

HOURS = 2000


def load() -> Mapping[str, NDArray[Any]]:
    """Return generated hours: read your own data here, from files beside this one or from where it lives."""
    random = np.random.default_rng(4)
    outside, wind = random.uniform(-15, 20, HOURS), random.gamma(2, 2, HOURS)
    sun = random.uniform(0, 600, HOURS)
    needed = np.maximum(0, 21 - outside) * (0.2 + 0.01 * wind) - 0.003 * sun
    power = np.maximum(0, needed + random.normal(0, 0.2, HOURS))
    weather = np.stack([outside, wind, sun], axis=1).astype(np.float32)
    return {"weather": weather, "power": power.astype(np.float32)[:, None]}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Any:
    """Return the trained network, a keras.Model from raw weather [rows, 3] to power [rows, 1]."""
    # Only here: whoever looks at the data alone needs no Keras.
    import keras

    # What is done to the values first is part of the model: clients send them raw.
    scaled = keras.layers.Normalization()
    scaled.adapt(rows.inputs["weather"])
    hidden = keras.layers.Dense(int(parameters["hidden"]), activation="relu")
    network = keras.Sequential([keras.layers.Input((3,)), scaled, hidden, keras.layers.Dense(1)])
    network.compile(optimizer=keras.optimizers.Adam(parameters["learning_rate"]), loss="mse")
    report = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: run.log("train_loss", float(logs["loss"]), epoch + 1)
    )
    network.fit(rows.inputs["weather"], rows.target, epochs=int(parameters["epochs"]), verbose=0, callbacks=[report])
    return network
