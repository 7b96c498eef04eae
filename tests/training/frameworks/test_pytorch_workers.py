"""Two agents of torchrun, as two pods have them: one model of both, which the first worker publishes.

PyTorch is in the images of models, not in the development environment: without it nothing of this runs.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.values import ROOT
from tests.support.models import place
from tests.support.tools import free_port

pytest.importorskip("torch", reason="PyTorch is in the images of models, not in this environment")

TEMPLATES = ROOT / "delivery" / "templates"
SCRIPT = Path(__file__).parent / "together.py"


def train(folder: Path, output: Path, workers: int) -> list[tuple[int, str]]:
    """Train with so many agents side by side; exit code and last words of each."""
    output.mkdir()
    port = free_port()
    agents = [
        subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", f"--nnodes={workers}", "--nproc-per-node=1",
                f"--node-rank={rank}", "--master-addr=127.0.0.1", f"--master-port={port}", SCRIPT, folder, output,
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(workers)
    ]  # fmt: skip
    said = [agent.communicate(timeout=100)[0] for agent in agents]
    return [(agent.returncode, text) for agent, text in zip(agents, said, strict=True)]


def test_two_workers_train_one_model_and_the_first_publishes_it(tmp_path: Path) -> None:
    folder = place(tmp_path / "model", "torch", TEMPLATES)
    ended = train(folder, tmp_path / "two", 2)
    assert [code for code, _ in ended] == [0, 0], ended
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["ended-0", "ended-1", "model", "published"]
    accuracy, digest = (tmp_path / "two" / "published").read_text().split()
    assert float(accuracy) > 0.9
    assert [code for code, _ in train(folder, tmp_path / "again", 2)] == [0, 0]
    assert (tmp_path / "again" / "published").read_text().split()[1] == digest, "the same seed, the same file"


def test_workers_that_do_not_share_their_gradients_publish_nothing(tmp_path: Path) -> None:
    own = shutil.copytree(TEMPLATES / "torch", tmp_path / "own" / "torch")
    code = (own / "train.py").read_text()
    assert "run.distribute(network)" in code
    (own / "train.py").write_text(code.replace("run.distribute(network)", "network"))
    ended = train(place(tmp_path / "model", "torch", own.parent), tmp_path / "two", 2)
    assert all(code for code, _ in ended)
    assert "have 2 different models" in "".join(text for _, text in ended)
    assert not (tmp_path / "two" / "published").exists()
