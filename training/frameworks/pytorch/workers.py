"""Workers that train one module: DistributedDataParallel averages gradients, over NCCL or, on CPUs, over gloo."""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from training.errors import TrainingError
from training.workers import Worker

_BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


@dataclass(frozen=True)
class Connected:
    """This process among the others."""

    device: str
    worker: Worker

    def share(self, module: torch.nn.Module) -> torch.nn.Module:
        """Return the module, on the device, so that each backward pass averages the gradients of all workers."""
        if self.device == "cuda":
            return DistributedDataParallel(module.cuda(), device_ids=[self.worker.local_rank])
        return DistributedDataParallel(module)

    def agreed(self, fitted: Any) -> Any:
        """Return the module itself; raise TrainingError where another worker has other weights."""
        module = fitted.module if isinstance(fitted, DistributedDataParallel) else fitted
        if not isinstance(module, torch.nn.Module):
            return module
        every: list[str | None] = [None] * self.worker.count
        torch.distributed.all_gather_object(every, _weights(module))
        if len(set(every)) > 1:
            raise TrainingError(
                f"the {self.worker.count} workers have {len(set(every))} different models, of their own rows alone; "
                "let `fit` train `run.distribute(module)`, and change no weights afterwards by what a worker's rows are"
            )
        return module

    def leave(self) -> None:
        """End the connection."""
        torch.distributed.destroy_process_group()


def connect(device: str, worker: Worker) -> Connected:
    """Return the connection to the other workers, by the address in torchrun's variables.

    Raise TrainingError where they are not reached.
    """
    if device == "cuda":
        torch.cuda.set_device(worker.local_rank)
    try:
        torch.distributed.init_process_group(_BACKENDS[device])
    except (RuntimeError, torch.distributed.DistError) as error:
        raise TrainingError(f"worker {worker.rank} of {worker.count} does not reach the others: {error}") from error
    return Connected(device, worker)


def _weights(module: torch.nn.Module) -> str:
    """Return a digest of what is trained; statistics that each worker keeps of its own rows are not."""
    total = hashlib.sha256()
    for name, value in module.named_parameters():
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
