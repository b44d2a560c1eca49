"""An MLP on digits by predictive coding of this project and of `pcx` (Pinchetti et al. 2024): time and accuracy.

    python -m venv PEER && PEER/bin/pip install pcx==0.6.3 "jax[cpu]<0.5"
    python benchmarks/pc_peer.py --peer PEER/bin/python

A step is a weight update with its settling, batches of 128, AdamW of one rate, no clipping; pcx settles states by
gradient descent, this project errors. Time is that of the processor, one thread in both. Without --peer only the step
over backprop's is compared, with the lowest ratio that was published, 3.3.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured import Measured, arguments, present

from precisionflow.config import Experiment, resolve
from precisionflow.data.batches import Rows
from precisionflow.data.prepare import prepare
from precisionflow.results.layout import PreparedSplit, data_folder
from precisionflow.training.engines.single import SingleNetwork
from precisionflow.training.population import CellOf, Single
from precisionflow.training.ranks import Ranks

PEER = Path(__file__).parent / "peers" / "pcx_digits.py"
PUBLISHED = 3.3
"""Step of predictive coding over backprop's, the lowest that was published."""
BATCH, RATE, ITERATIONS = 128, 1e-3, 8
HIDDEN = (128, 128)
STEP_SIZE = 0.1
"""Of pcx on states, its value nodes."""
TOLERANCE = 0.01
"""Accuracy by which one may be below the other: two of the 180 test images."""
ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
UNTIMED = 20
FASTEST = "ours, 2 iterations, gradient of the energy"
"""Fewest iterations whose lesson is not backprop's: what is compared."""


def experiment_of(steps: int, learning: dict[str, Any]) -> Experiment:
    return resolve(
        {
            "name": "peer",
            "task": {"kind": "classification", "source": {"kind": "scikit_learn_classes", "name": "digits"}},
            "model": {"kind": "mlp", "hidden": list(HIDDEN), "activation": "silu"},
            "objective": {"kind": "cross_entropy"},
            "learning": learning,
            "training": {
                "steps": steps,
                "batch_size": BATCH,
                "learning_rate": RATE,
                "gradient_clip": None,
            },
            "engine": {"kind": "torch", "device": "cpu"},
        }
    )


def taught(experiment: Experiment, data: Path) -> tuple[float, float]:
    """Accuracy of the test rows after the last step, median milliseconds of a step."""
    engine = Single(experiment, data, CellOf(0, 0)).open(Ranks(), None)
    assert isinstance(engine, SingleNetwork)
    spent = []
    for step in range(experiment.training.steps):
        batch = engine.feed.batch(step)
        start = time.process_time()
        engine.step(batch, step)
        spent.append(time.process_time() - start)
    test = Rows.read(PreparedSplit(data_folder(data, experiment, 0)).part("test"))
    engine.network.eval()
    with torch.no_grad():
        found = engine.network(torch.from_numpy(test.features)).argmax(dim=1).numpy()
    return float((found == test.target).mean()), 1000 * statistics.median(spent[UNTIMED:])


def of_peer(python: str, experiment: Experiment, data: Path, folder: Path) -> tuple[float, float]:
    """The same of pcx, on the same prepared rows."""
    place = PreparedSplit(data_folder(data, experiment, 0))
    parts = {part: Rows.read(place.part(part)) for part in ("train", "test")}
    arrays = {part: rows.features for part, rows in parts.items()}
    targets = {f"{part}_target": rows.target.astype(np.int64) for part, rows in parts.items()}
    np.savez(folder / "digits.npz", allow_pickle=False, **arrays, **targets)
    settings = {
        "seed": 0,
        "widths": [arrays["train"].shape[1], *HIDDEN, 10],
        "batch": BATCH,
        "steps": experiment.training.steps,
        "iterations": ITERATIONS,
        "step_size": STEP_SIZE,
        "learning_rate": RATE,
    }
    command = [python, str(PEER), str(folder / "digits.npz"), json.dumps(settings)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD)
    said = json.loads(done.stdout)
    return said["accuracy"], said["step_ms"]


def compared(steps: int, peer: str | None) -> list[Measured]:
    """Teach by backprop, by predictive coding, and by the peer where one is given."""
    ours: dict[str, Any] = {"kind": "predictive_coding", "iterations": ITERATIONS}
    learnings: dict[str, dict[str, Any]] = {
        "backprop": {"kind": "backprop"},
        "ours": ours,
        FASTEST: ours | {"iterations": 2, "gradient": "energy"},
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        experiments = {name: experiment_of(steps, learning) for name, learning in learnings.items()}
        prepare([experiments["backprop"]], out=folder)
        found = {name: taught(experiment, folder) for name, experiment in experiments.items()}
        if peer:
            found["pcx"] = of_peer(peer, experiments["backprop"], folder, folder)
    results = []
    for name, (accuracy, step) in found.items():
        results += [Measured(f"{name}, accuracy", accuracy, "1"), Measured(f"{name}, step", step, "ms")]
    (_, backprop), (accuracy, step) = found["backprop"], found[FASTEST]
    results.append(Measured(f"{FASTEST}, step over backprop's", step / backprop, "1", PUBLISHED))
    if peer:
        other, theirs = found["pcx"]
        results.append(Measured(f"{FASTEST}, step over that of pcx", step / theirs, "1", 1.0))
        results.append(Measured(f"accuracy of pcx above {FASTEST}", other - accuracy, "1", TOLERANCE))
    return results


def peer_arguments(description: str | None) -> argparse.ArgumentParser:
    """`arguments`, and the environment of the peer."""
    parser = arguments(description)
    parser.add_argument("--peer", metavar="PYTHON", help="of an environment that has pcx")
    return parser


def main() -> None:
    """Compare the step of the digits' MLP."""
    parser = peer_arguments(__doc__)
    parser.add_argument("--steps", type=int, default=500)
    given = parser.parse_args()
    torch.set_num_threads(1)
    present(compared(given.steps, given.peer), given.json)


if __name__ == "__main__":
    main()
