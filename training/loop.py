"""The training loop: a multilayer perceptron in PyTorch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.data import Dataset
from training.errors import TrainingError
from training.export import Dense

# A pixel that is almost never lit would otherwise be blown up by its tiny deviation.
SMALLEST_DEVIATION = 1.0


@dataclass(frozen=True)
class Hyperparameters:
    """The parameters of this network, as the model's document declares them: one hidden layer, Adam."""

    epochs: int
    learning_rate: float
    hidden: int
    batch_size: int
    seed: int


@dataclass(frozen=True)
class Trained:
    """The network as plain layers on raw inputs, and the trainer's own scores of the held-out rows [n, classes]."""

    layers: tuple[Dense, ...]
    held_out_scores: NDArray[np.float32]


def choose_device(name: str) -> torch.device:
    """Return the device; raise TrainingError when CUDA is asked for and there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError(
            "STELLWERK_DEVICE is 'cuda' and no CUDA device is visible;"
            " give the training Job a GPU node pool or set the device to 'cpu'"
        )
    return torch.device(name)


def _fold(
    weight: NDArray[np.float64], bias: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> Dense:
    """Take the standardisation of the inputs into the first layer, so that clients send raw values."""
    folded = weight.T / deviation[:, None]
    return Dense(folded.astype(np.float32), (bias - mean @ folded).astype(np.float32))


def fit(
    dataset: Dataset,
    parameters: Mapping[str, int | float],
    device_name: str,
    on_epoch: Callable[[int, float], None],
) -> Trained:
    """Train on the training rows; `on_epoch` gets the epoch from 1 and its mean loss in nats.

    The same seed gives the same weights on the same device type and library versions.
    """
    hyperparameters = Hyperparameters(**parameters)  # type: ignore[arg-type]
    device = choose_device(device_name)
    torch.manual_seed(hyperparameters.seed)
    mean = dataset.train.inputs.mean(axis=0, dtype=np.float64)
    deviation = np.maximum(dataset.train.inputs.std(axis=0, dtype=np.float64), SMALLEST_DEVIATION)

    def standardised(inputs: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(((inputs - mean) / deviation).astype(np.float32)).to(device)

    inputs, labels = standardised(dataset.train.inputs), torch.from_numpy(dataset.train.labels).to(device)
    network = torch.nn.Sequential(
        torch.nn.Linear(dataset.contract.features, hyperparameters.hidden),
        torch.nn.ReLU(),
        torch.nn.Linear(hyperparameters.hidden, dataset.contract.classes),
    ).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=hyperparameters.learning_rate)
    for epoch in range(1, hyperparameters.epochs + 1):
        total = torch.zeros((), device=device)
        # The order is drawn on the CPU: a CUDA generator would draw another one.
        for rows in torch.randperm(len(labels)).to(device).split(hyperparameters.batch_size):
            loss = torch.nn.functional.cross_entropy(network(inputs[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach() * len(rows)
        on_epoch(epoch, float(total) / len(labels))
    with torch.inference_mode():
        scores = network(standardised(dataset.held_out.inputs)).cpu().numpy()
    first, last = (
        (layer.weight.detach().cpu().double().numpy(), layer.bias.detach().cpu().double().numpy())
        for layer in (network[0], network[2])
    )
    layers = (_fold(*first, mean, deviation), Dense(last[0].T.astype(np.float32), last[1].astype(np.float32)))
    return Trained(layers=layers, held_out_scores=scores)
