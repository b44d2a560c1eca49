"""Predictive coding against its backprop twin: validation loss after the same steps, seconds per step, by precision.

The twins take turns in one process, so that a busy machine slows both.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
from measured import Measured, arguments, present

from precisionflow.config import Experiment, load
from precisionflow.config.learning import FixedPrecision
from precisionflow.data.prepare import prepare
from precisionflow.training.engines.single import SingleNetwork
from precisionflow.training.population import CellOf, Single
from precisionflow.training.ranks import Ranks

PRECISIONS = (10.0, 100.0, 1000.0, 10000.0)


def engine_of(experiment: Experiment, data: Path) -> SingleNetwork:
    engine = Single(experiment, data, CellOf(0, 0)).open(Ranks(), None)
    assert isinstance(engine, SingleNetwork)
    return engine


def main() -> None:
    """Train all twins in turn, step by step."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    common = ["engine.kind=torch", "engine.device=cpu", f"training.steps={given.steps}"]
    settled = "learning.kind=predictive_coding"
    twins = {"backprop": load("quickstart-language", common)}
    for precision in PRECISIONS:
        settings = [*common, settled, f"learning.precision.value={precision}"]
        twins[f"precision {precision:g}"] = load("quickstart-language", settings)
    one = [*common, settled, "learning.iterations=1"]
    twins["one iteration"] = load("quickstart-language", one)
    default = f"precision {FixedPrecision().value:g}"
    with tempfile.TemporaryDirectory() as folder:
        prepare([twins["backprop"]], out=Path(folder))
        engines = {name: engine_of(experiment, Path(folder)) for name, experiment in twins.items()}
        spent: dict[str, list[float]] = {name: [] for name in twins}
        for step in range(given.steps):
            for name, engine in engines.items():
                start = time.perf_counter()
                engine.step(engine.feed.batch(step), step)
                spent[name].append(time.perf_counter() - start)
        loss = {name: engine.validation_loss() for name, engine in engines.items()}
    step_time = {name: statistics.median(times) for name, times in spent.items()}
    results = [Measured("backprop, validation loss", loss["backprop"], "nats")]
    results += [Measured("backprop, step", 1000 * step_time["backprop"], "ms")]
    for name in list(twins)[1:]:
        bars = (1.02, 3.0) if name == default else (None, None)
        results.append(
            Measured(f"{name}, validation loss over backprop", loss[name] / loss["backprop"], "1", bars[0])
        )
        results.append(
            Measured(f"{name}, step over backprop", step_time[name] / step_time["backprop"], "1", bars[1])
        )
    present(results, given.json)


if __name__ == "__main__":
    main()
