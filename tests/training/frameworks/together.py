"""What a worker of a training Job does, without cluster, store and tracking server: `together.py FOLDER OUTPUT`."""

import hashlib
import sys
from pathlib import Path

from training import data, pipeline, workers
from training.author import Run, read_author
from training.document import read_model
from training.errors import TrainingError
from training.frameworks import adapter
from training.workers import read_worker


def main(folder: Path, output: Path) -> None:
    """Train; the first worker writes the file's accuracy and digest, and each worker that it has ended."""
    model, author, worker = read_model(folder), read_author(folder), read_worker()
    framework, dataset = adapter(model.framework), data.load(model, author)
    run = Run("cpu", lambda *_: None, worker)
    if worker.rank:
        workers.fit(author, framework, dataset.train, model.defaults, run)
    else:
        place = output / "model"
        place.mkdir()
        product = pipeline.make(model, author, framework, dataset, model.defaults, run, place)
        digest = hashlib.sha256(product.content).hexdigest()
        (output / "published").write_text(f"{product.measured.metrics['accuracy']} {digest}")
    (output / f"ended-{worker.rank}").touch()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except TrainingError as error:
        sys.exit(f"error: {error}")
