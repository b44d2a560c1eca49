"""Predictive coding against its backprop twin: validation loss after the same steps, seconds and memory of a step.

The twins take turns in one process, so that a busy machine slows both.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
from measured import Measured, arguments, present
from torch.profiler import ProfilerActivity, profile

from precisionflow.config import Experiment, load
from precisionflow.data.prepare import prepare
from precisionflow.training.engines.single import SingleNetwork
from precisionflow.training.population import CellOf, Single
from precisionflow.training.ranks import Ranks

ENERGY = "learning.gradient=energy"
LEARNED = "learning.precision.kind=learned"
TWINS = {
    **{f"precision {p}": (f"learning.precision.value={p}",) for p in (10, 100, 1000, 10000)},
    "one iteration": ("learning.iterations=1",),
    "learned precision": (LEARNED,),
    "gradient of the energy": (ENERGY,),
    "gradient of the energy, one iteration": (ENERGY, "learning.iterations=1"),
    "gradient of the energy, learned precision": (ENERGY, LEARNED),
}
STEP_BARS = {
    "gradient of the energy": 2.0,
    "gradient of the energy, one iteration": 1.4,
    "gradient of the energy, learned precision": 2.0,
}
LOSS_BARS = {"precision 1000": 1.02, "learned precision": 1.01, **dict.fromkeys(STEP_BARS, 1.01)}
MOST_MEMORY = 1.5


def engine_of(experiment: Experiment, data: Path) -> SingleNetwork:
    engine = Single(experiment, data, CellOf(0, 0)).open(Ranks(), None)
    assert isinstance(engine, SingleNetwork)
    return engine


def peak_bytes(engine: SingleNetwork, step: int) -> int:
    """Most bytes that one step holds beside weights and the optimiser's state."""
    batch = engine.feed.batch(step)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        engine.step(batch, step)
    changes = [of for of in seen.profiler.kineto_results.events() if of.name() == "[memory]"]
    held = peak = 0
    for change in sorted(changes, key=lambda of: of.start_ns()):
        held += change.nbytes()
        peak = max(peak, held)
    return peak


def main() -> None:
    """Train all twins in turn, step by step."""
    parser = arguments(__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--blocks", type=int, default=2, help="of attention and feed-forward")
    given = parser.parse_args()
    torch.set_num_threads(1)
    common = ["engine.kind=torch", "engine.device=cpu"]
    common += [f"training.steps={given.steps}", f"model.blocks={given.blocks}"]
    twins = {"backprop": load("quickstart-language", common)}
    for name, settings in TWINS.items():
        twins[name] = load("quickstart-language", [*common, "learning.kind=predictive_coding", *settings])
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
        memory = {name: peak_bytes(engine, given.steps) for name, engine in engines.items()}
    step_time = {name: statistics.median(times) for name, times in spent.items()}
    results = [Measured("backprop, validation loss", loss["backprop"], "nats")]
    results += [Measured("backprop, step", 1000 * step_time["backprop"], "ms")]
    results += [Measured("backprop, memory of a step", memory["backprop"] / 1e6, "MB")]
    for name in TWINS:
        for what, values, bar in (
            ("validation loss", loss, LOSS_BARS.get(name)),
            ("step", step_time, STEP_BARS.get(name)),
            ("memory of a step", memory, MOST_MEMORY),
        ):
            ratio = values[name] / values["backprop"]
            results.append(Measured(f"{name}, {what} over backprop", ratio, "1", bar))
    present(results, given.json)


if __name__ == "__main__":
    main()
