"""Runs in a training image: a network of the layers that people use, fitted on a device and exported by the adapter.

Arguments: the device, and the folder that gets `model.onnx`, with `request.json` of rows for it.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from training.document import Column, HeldOut, Model
from training.frameworks import pytorch

ROWS, SIDE, CLASSES = 64, 16, 5
MODEL = Model(
    name="network", description="", framework="pytorch", task="other",
    inputs=(Column("image", "FP32", (3, SIDE, SIDE)),), outputs=(Column("scores", "FP32", (CLASSES,)),),
    target=Column("label", "INT64"), held_out=HeldOut(0.2, "row", None), source=None, digest=None, slices=(),
    parameters=(), gates=(), requirements=(),
)  # fmt: skip


class Network(torch.nn.Module):  # type: ignore[misc]
    """Convolution, normalisation, attention over the pixels, a recurrent layer, and a dense one."""

    def __init__(self) -> None:
        """Draw the weights."""
        super().__init__()
        self.convolution = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.GELU(), torch.nn.MaxPool2d(2)
        )
        self.attention = torch.nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm = torch.nn.LayerNorm(16)
        self.recurrent = torch.nn.GRU(16, 32, batch_first=True)
        self.dense = torch.nn.Linear(32, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return scores [rows, 5] of images [rows, 3, 16, 16]."""
        pixels = self.convolution(image).flatten(2).transpose(1, 2)
        seen = self.norm(pixels + self.attention(pixels, pixels, pixels, need_weights=False)[0])
        return self.dense(self.recurrent(seen)[0][:, -1])


def fit(device: str) -> tuple[torch.nn.Module, float, float]:
    """Return the network after some steps, and the loss of the first and of the last one."""
    pytorch.prepare(device, seed=1)
    network = Network().to(device)
    images, labels = torch.randn(ROWS, 3, SIDE, SIDE).to(device), torch.randint(CLASSES, (ROWS,)).to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.005)
    losses = []
    for _ in range(100):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    return network, losses[0], losses[-1]


def main(device: str, folder: Path) -> None:
    """Write the files, and print how the training went as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    network, first, last = fit(device)
    rows = np.random.default_rng(2).normal(size=(ROWS, 3, SIDE, SIDE)).astype(np.float32)
    answers = pytorch.answers(network, MODEL, {"image": rows})["scores"]
    pytorch.export(network, MODEL, {"image": rows[:2]}, folder / "model.onnx")
    tensors = {
        name: {"name": name, "datatype": "FP32", "shape": list(values.shape), "data": values.reshape(-1).tolist()}
        for name, values in (("image", rows), ("scores", answers))
    }
    (folder / "request.json").write_text(json.dumps({"inputs": [tensors["image"]], "outputs": [tensors["scores"]]}))
    print(json.dumps({"first loss": first, "last loss": last}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
