"""Handwritten digits: a multilayer perceptron with one hidden layer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from training.author import Rows, Run

CLASSES = 10
# A pixel that is almost never lit would otherwise be blown up by its tiny deviation.
SMALLEST_DEVIATION = 1.0


def load() -> Mapping[str, NDArray[Any]]:
    """Return 1,797 images of 8 x 8 grey values from 0 to 16, and the digit that each shows."""
    bunch = load_digits()
    return {"pixels": bunch.data.astype(np.float32), "digit": bunch.target}


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Any:
    """Return the trained network, a torch.nn.Module on raw grey values [rows, 64] with log-probabilities [rows, 10]."""
    # Only here: whoever looks at the data alone needs no PyTorch.
    import torch

    torch.manual_seed(int(parameters["seed"]))
    pixels = rows.inputs["pixels"]
    mean = pixels.mean(axis=0, dtype=np.float64)
    deviation = np.maximum(pixels.std(axis=0, dtype=np.float64), SMALLEST_DEVIATION)
    inputs = torch.from_numpy(((pixels - mean) / deviation).astype(np.float32)).to(run.device)
    labels = torch.from_numpy(rows.target).to(run.device)
    network = torch.nn.Sequential(
        torch.nn.Linear(pixels.shape[1], int(parameters["hidden"])),
        torch.nn.ReLU(),
        torch.nn.Linear(int(parameters["hidden"]), CLASSES),
    ).to(run.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=parameters["learning_rate"])
    for epoch in range(1, int(parameters["epochs"]) + 1):
        total = torch.zeros((), device=run.device)
        # The order is drawn on the CPU: a CUDA generator would draw another one.
        for batch in torch.randperm(len(labels)).to(run.device).split(int(parameters["batch_size"])):
            loss = torch.nn.functional.cross_entropy(network(inputs[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach() * len(batch)
        run.log("train_loss", float(total) / len(labels), epoch)
    return _on_raw_values(network, mean, deviation)


def _on_raw_values(network: Any, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> Any:
    """Take the standardisation into the first layer, so that clients send raw grey values."""
    import torch

    first = network[0].double()
    with torch.no_grad():
        first.weight /= torch.from_numpy(deviation).to(first.weight.device)
        first.bias -= first.weight @ torch.from_numpy(mean).to(first.weight.device)
    first.float()
    return network
