"""Prices of houses: a linear model of three columns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.author import Rows, Run

from .rows import houses


def load() -> Mapping[str, NDArray[Any]]:
    return houses()


class Prices(torch.nn.Module):  # type: ignore[misc]
    """The sum of what each column is worth, in thousands."""

    def __init__(self, scale: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.layer = torch.nn.Linear(3, 1)

    def forward(self, area: torch.Tensor, rooms: torch.Tensor, garden: torch.Tensor) -> torch.Tensor:
        columns = torch.stack([area, rooms.to(area.dtype), garden.to(area.dtype)], dim=1)
        return self.layer(columns / self.scale)[:, 0]


def fit(rows: Rows, parameters: Mapping[str, int | float], run: Run) -> Prices:
    columns = [torch.from_numpy(values).to(run.device) for values in rows.inputs.values()]
    model = Prices(torch.stack([column.float() for column in columns], dim=1).std(dim=0)).to(run.device)
    wanted = torch.from_numpy(rows.target).to(run.device)
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=int(parameters["steps"]))

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        error = ((model(*columns) - wanted) ** 2).mean()
        error.backward()
        return error

    run.log("train_loss", optimiser.step(loss).item(), 1)
    return model


def evaluate(answers: Mapping[str, NDArray[Any]], rows: Rows) -> Mapping[str, float]:
    """The error on the dearest house."""
    dearest = int(np.argmax(rows.target))
    return {"dearest": float(abs(answers["price"][dearest] - rows.target[dearest]))}
