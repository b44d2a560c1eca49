"""Many small networks as one program against one after the other, side by side in one run.

The same cells of the same variant: once in engine `batched`, once with the plain engine's loop. The validation losses
say that both did the same work.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measured import Measured, arguments, present

from precisionflow.config import Experiment, overlay, resolve
from precisionflow.data.prepare import prepare
from precisionflow.records.cards import ModelCard
from precisionflow.records.files import read_card
from precisionflow.results.layout import cell_folder
from precisionflow.training.train import train

TREE = {
    "name": "batched",
    "task": {"kind": "regression", "source": {"kind": "scikit_learn", "name": "diabetes"}},
    "model": {"kind": "mlp", "hidden": [50]},
    "objective": {"kind": "gaussian_nll"},
    "training": {"steps": 300, "batch_size": 32, "learning_rate": 0.005, "validate_every": 50},
    "splits": list(range(20)),
    "seeds": list(range(10)),
}


def seconds(experiment: Experiment, data: Path, out: Path) -> float:
    start = time.perf_counter()
    train(experiment, data=data, out=out)
    return time.perf_counter() - start


def losses(experiment: Experiment, out: Path) -> np.ndarray:
    cells = [(seed, split) for seed in experiment.seeds for split in experiment.splits]
    cards = [read_card(cell_folder(out, *cell) / "model.json", ModelCard) for cell in cells]
    return np.array([card.validation_loss for card in cards])


def main() -> None:
    """Print seconds of both ways, their ratio, and how far their results are apart."""
    given = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    batched = resolve(overlay(TREE, {"engine": {"kind": "batched", "device": "cpu"}}))
    alone = resolve(overlay(TREE, {"engine": {"kind": "torch", "device": "cpu"}}))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        prepare([batched], out=root / "data")
        spent = {
            name: seconds(experiment, root / "data", root / name)
            for name, experiment in (("batched", batched), ("alone", alone))
        }
        apart = np.abs(losses(batched, root / "batched") - losses(alone, root / "alone")).max()
    count = len(batched.seeds) * len(batched.splits)
    present(
        [
            Measured(f"{count} networks together", spent["batched"], "s"),
            Measured(f"{count} networks one by one", spent["alone"], "s"),
            Measured("together over one by one", spent["batched"] / spent["alone"], "1", bar=0.1),
            Measured("largest difference of a validation loss", float(apart), "nats", bar=0.01),
        ],
        given.json,
    )


if __name__ == "__main__":
    main()
